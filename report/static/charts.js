"use strict";
// What every chart of the page shares: colours of the present scheme, sizes, tooltips as text, legends.

const DATA = JSON.parse(document.getElementById("data").textContent);
const DASHES = ["solid", [7, 4], [2, 3]];
const charts = [];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function seriesColour(index) {
  return colour("series-" + index % 6);
}

// Draws build(chart) into an element, and again whenever its size or the colour scheme changes.
function drawChart(id, build) {
  const element = document.getElementById(id);
  if (!element) return null;
  const chart = echarts.init(element, null, {renderer: "canvas"});
  const draw = () => chart.setOption(build(chart), {notMerge: true});
  charts.push(draw);
  new ResizeObserver(() => {
    if (chart.getWidth() === element.clientWidth && chart.getHeight() === element.clientHeight) return;
    chart.resize();
    draw();
  }).observe(element);
  draw();
  return {chart, draw};
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  charts.forEach(draw => draw());
  document.querySelectorAll("ul.legend").forEach(legend => legend.redraw && legend.redraw());
});

// Names come from files: they are only ever put in as text.
function lines(title, rows) {
  const element = document.createElement("div");
  element.className = "tooltip";
  if (title) element.append(Object.assign(document.createElement("strong"), {textContent: title}));
  for (const [text, className] of rows) {
    element.append(Object.assign(document.createElement("div"), {textContent: text, className: className || ""}));
  }
  return element;
}

function tooltip(trigger, formatter) {
  return {trigger, formatter, confine: true, backgroundColor: colour("card"), borderColor: colour("line"), borderWidth: 1,
    padding: [8, 10], textStyle: {color: colour("ink"), fontFamily: fontFamily()}, transitionDuration: 0,
    extraCssText: "white-space: normal", axisPointer: {type: "line", lineStyle: {color: colour("neutral")}}};
}

function fontFamily() {
  return getComputedStyle(document.body).fontFamily;
}

function base(x, y, more) {
  return {animation: false, textStyle: {fontFamily: fontFamily()}, grid: {left: 50, right: 18, top: 12, bottom: 44}, xAxis: x, yAxis: y, ...more};
}

function axis(name, vertical, more) {
  return {type: "value", name, nameLocation: "middle", nameGap: vertical ? 36 : 28, nameTextStyle: {color: colour("muted"), fontSize: 12},
    axisLine: {show: !vertical, onZero: false, lineStyle: {color: colour("neutral")}}, axisTick: {show: false},
    axisLabel: {color: colour("muted"), fontSize: 12, hideOverlap: true}, splitLine: {show: vertical, lineStyle: {color: colour("line")}},
    ...more};
}

function percentAxis(name, vertical, more) {
  return axis(name, vertical, {min: 0, max: 100, interval: 25, ...more});
}

function line(index, dash, data, more) {
  return {type: "line", showSymbol: false, data, lineStyle: {color: seriesColour(index), width: 2, type: DASHES[dash % 3]},
    itemStyle: {color: seriesColour(index)}, emphasis: {disabled: true}, ...more};
}

// A legend in HTML, below the chart's caption, where it wraps as text does. entries: () => [{label, mark}], mark an SVG's inside.
function legend(id, entries) {
  const element = document.getElementById(id);
  if (!element) return;
  const list = document.createElement("ul");
  list.className = "legend";
  element.closest("figure").querySelector("figcaption").append(list);
  list.redraw = () => fillLegend(list, entries());
  list.redraw();
}

function fillLegend(list, entries) {
  list.replaceChildren(...entries.map(({label, mark}) => {
    const item = document.createElement("li");
    item.innerHTML = `<svg viewBox="0 0 14 14" aria-hidden="true">${mark}</svg>`;
    item.append(label);
    return item;
  }));
}

function lineMark(index, dash) {
  const dashes = {1: "5 3", 2: "2 2"}[dash % 3] || "";
  return `<path d="M0 7H14" stroke="${seriesColour(index)}" stroke-width="2.5" stroke-dasharray="${dashes}"/>`;
}

function chanceMark() {
  return `<path d="M0 7H14" stroke="${colour("neutral")}" stroke-width="2" stroke-dasharray="1.5 2.5"/>`;
}

// Recalls that random predictions would have.
function chanceLine(data) {
  return line(0, 2, data, {silent: true, lineStyle: {color: colour("neutral"), width: 1.5, type: [1.5, 3]}});
}

function round(value, digits = 1) {
  return value.toFixed(digits);
}

// A similarity with as many digits as tell it from 1.
function similarity(value) {
  let digits = 3;
  while (value < 1 && +value.toFixed(digits) >= 1 && digits < 8) digits++;
  return value.toFixed(digits);
}

// A text of at most so many characters: what tells names apart is at their ends.
function shortened(text, most) {
  const half = Math.floor((most - 1) / 2);
  return text.length <= most ? text : text.slice(0, most - 1 - half) + "…" + text.slice(-half);
}
