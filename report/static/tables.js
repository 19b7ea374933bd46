"use strict";
// What a chart shows as a CSV file, made in the page; and a sign at tables that are wider than the screen.

// What spreadsheets take for a formula, or skip before one: as in support/escaping.py.
const STEERING = "=+\\-@\\t\\r\\n\\uff1d\\uff0b\\uff0d\\uff20";
const DECIMAL = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/;
const TABLES = {};  // by the chart's id

function csvText(text) {
  return new RegExp(`^'*[${STEERING}]`).test(text) && !(DECIMAL.test(text) && Number.isFinite(+text)) ? "'" + text : text;
}

function csvPath(path) {
  return new RegExp(`^[${STEERING}]`).test(path) ? "./" + path : path;
}

// rows: of numbers, null, and texts, which csvText and csvPath have made safe.
function csv(rows) {
  const cell = value => value === null ? "" : /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  return rows.map(row => row.map(cell).join(",") + "\n").join("");
}

// Adds a button to a chart's figure that saves a table. rows: () => the rows, the head first.
function offerTable(id, file, rows) {
  const element = document.getElementById(id);
  if (!element) return;
  TABLES[id] = () => csv(rows());
  const figure = element.closest("figure"), button = Object.assign(document.createElement("button"), {type: "button", className: "csv", textContent: "CSV"});
  button.setAttribute("aria-label", `Save what the chart shows as ${file}`);
  button.onclick = () => {
    const link = Object.assign(document.createElement("a"), {download: file, href: URL.createObjectURL(new Blob([TABLES[id]()], {type: "text/csv"}))});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  (figure.querySelector(".buttons") || figure.querySelector("figcaption")).append(button);
}

document.querySelectorAll(".wide").forEach(card => {
  const table = card.querySelector(".scroll");
  new ResizeObserver(() => { card.querySelector(".sideways").hidden = table.scrollWidth <= table.clientWidth + 1; }).observe(table);
});
