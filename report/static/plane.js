"use strict";
// A map in metres: a metre is as long to the east as to the north (so no label may move the grid). Buttons, gestures and keys
// zoom and move, marks open their places on OpenStreetMap, a bar shows the scale.

const SHAPES = {
  circle: '<circle cx="7" cy="7" r="4.5"/>', diamond: '<path d="M7 1.2 12.8 7 7 12.8 1.2 7Z"/>', triangle: '<path d="M7 1.6 13 12.4H1Z"/>',
  rect: '<rect x="4" y="4" width="6" height="6"/>', dot: '<circle cx="7" cy="7" r="2.5"/>',
};
const COARSE = matchMedia("(pointer: coarse)").matches;

// How the map is used, for the text below it. places: whether marks have places on the earth.
function hint(places) {
  const keys = `Keys, once the map has the focus: N and P go through the marks, ${places ? "Enter opens the place, " : ""}+ and − zoom, arrows move, 0 shows the whole map.`;
  const open = places ? "" : " Names without a UTM zone and without latitude and longitude have no place on OpenStreetMap.";
  if (COARSE) return `Tap a mark for details${places ? " and a link to OpenStreetMap" : ""}; pinch to zoom, then drag to move. ${keys}${open}`;
  return `Point at a mark for details${places ? ", click to open its place on OpenStreetMap" : ""}; Ctrl and the wheel zoom, dragging moves. ${keys}${open}`;
}

function shapeMark(shape, name) {
  return `<g fill="${colour(name)}">${SHAPES[shape]}</g>`;
}

function unpack(text, type) {
  return new type(Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer);
}

// The pair at an index of a flat array.
function at(positions, index) {
  return [positions[2 * index], positions[2 * index + 1]];
}

function osmAddress([latitude, longitude]) {
  return `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=19/${latitude}/${longitude}`;
}

// Draws a map into an element; beside it are <id>-in, <id>-out, <id>-reset, <id>-scale and <id>-details.
// positions: () => flat arrays that it must show;
// build: cell => {series, stops: [[series index, data index]] that N and P visit, describe: (series index, data index) =>
//   {title, rows, at: position, place: [latitude, longitude] or null}}; marks within a cell of so many metres would overlap;
// shown: called with a described mark when it is pointed at or chosen; hidden: when no mark is, or the view has moved.
// Returns {chart, reset: draws anew, whole; pixel: position => [x, y]}.
function drawPlane(id, {positions, build, shown = () => {}, hidden = () => {}}) {
  const margin = {left: 72, right: 16, top: 10, bottom: 46}, whole = [[0, 100], [0, 100]];
  const element = document.getElementById(id), details = document.getElementById(id + "-details");
  let zoom = whole, metresPerPixel, cell, parts, chosen = -1;
  const {chart, draw} = drawChart(id, chart => {
    const size = [chart.getWidth() - margin.left - margin.right, chart.getHeight() - margin.top - margin.bottom];
    const [x, y] = extents(positions(), size), still = COARSE && zoom[0][1] - zoom[0][0] > 99;  // a whole map does not hold up scrolling
    metresPerPixel = (x.max - x.min) / size[0];
    cell = presentCell();
    parts = build(cell);
    drawScale();
    const label = {color: colour("muted"), fontSize: 12, hideOverlap: true, showMinLabel: false, showMaxLabel: false,
      formatter: value => Math.abs(value - Math.round(value)) < 1e-6 ? Math.round(value).toLocaleString("en") : ""};
    return base(axis("east, m", false, {...x, axisLabel: label, splitLine: {show: true, lineStyle: {color: colour("line"), opacity: 0.6}}}),
      axis("north, m", true, {...y, axisLabel: label, nameGap: 54}), {
        grid: {...margin, outerBoundsMode: "none", show: true, borderColor: colour("line")}, series: parts.series,
        tooltip: tooltip("item", ({seriesIndex, dataIndex}) => {
          const {title, rows} = parts.describe(seriesIndex, dataIndex);
          return lines(title, rows);
        }),
        dataZoom: ["x", "y"].map((name, side) => ({type: "inside", id: name, [name + "AxisIndex"]: 0, filterMode: "none",
          start: zoom[side][0], end: zoom[side][1], zoomOnMouseWheel: "ctrl", moveOnMouseMove: !still, preventDefaultMouseMove: !still})),
      });
  });

  // A power of two, so that marks join and part at few zooms alone.
  function presentCell() {
    return 2 ** Math.floor(Math.log2(10 * metresPerPixel * (zoom[0][1] - zoom[0][0]) / 100));
  }

  function drawScale() {
    const bar = document.getElementById(id + "-scale"), perPixel = metresPerPixel * (zoom[0][1] - zoom[0][0]) / 100;
    const power = 10 ** Math.floor(Math.log10(130 * perPixel)), metres = power * [5, 2, 1].find(factor => factor * power <= 130 * perPixel);
    bar.style.width = `${metres / perPixel}px`;
    bar.textContent = metres >= 1000 ? `${metres / 1000} km` : metres >= 1 ? `${metres} m` : `${Math.round(100 * metres)} cm`;
  }

  function forget() {
    chosen = -1;
    details.replaceChildren();
    hidden();
  }

  function setZoom(windows) {
    zoom = windows;
    forget();
    draw();
  }

  function scale(factor) {
    setZoom(zoom.map(([start, end]) => {
      const width = Math.min(100, Math.max(0.1, (end - start) * factor));
      return windowAround((start + end) / 2, width);
    }));
  }

  function windowAround(middle, width) {
    const begin = Math.min(100 - width, Math.max(0, middle - width / 2));
    return [begin, begin + width];
  }

  function move(east, north) {
    setZoom(zoom.map(([start, end], side) => windowAround((start + end) / 2 + [east, north][side] * (end - start) / 4, end - start)));
  }

  // Shows a mark's details below the map, with the link that a finger or a key needs.
  function choose(seriesIndex, dataIndex) {
    const mark = parts.describe(seriesIndex, dataIndex), text = lines(mark.title, mark.rows);
    if (mark.place) {
      text.append(Object.assign(document.createElement("a"), {href: osmAddress(mark.place), target: "_blank", rel: "noopener noreferrer",
        textContent: `${mark.place[0].toFixed(6)}, ${mark.place[1].toFixed(6)} on OpenStreetMap`}));
    }
    details.replaceChildren(text);
    shown(mark);
    return mark;
  }

  function open(mark) {
    if (mark.place) window.open(osmAddress(mark.place), "_blank", "noopener,noreferrer");
  }

  function step(by) {
    if (!parts.stops.length) return;
    const next = chosen < 0 ? (by > 0 ? 0 : parts.stops.length - 1) : (chosen + by + parts.stops.length) % parts.stops.length;
    const [seriesIndex, dataIndex] = parts.stops[next], [x, y] = pixel(parts.describe(seriesIndex, dataIndex).at);
    if (x < margin.left || x > chart.getWidth() - margin.right || y < margin.top || y > chart.getHeight() - margin.bottom) {
      const {at: position} = parts.describe(seriesIndex, dataIndex), option = chart.getOption();
      setZoom(["xAxis", "yAxis"].map((name, side) => {
        const {min, max} = option[name][0];
        return windowAround(100 * (position[side] - min) / (max - min), zoom[side][1] - zoom[side][0]);
      }));
    }
    chosen = next;
    hidden();
    choose(seriesIndex, dataIndex);
  }

  function pixel(position) {
    return chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, position);
  }

  const still = () => zoom[0][1] - zoom[0][0] > 99.9;
  const keys = {
    n: () => step(1), p: () => step(-1), "+": () => scale(0.5), "=": () => scale(0.5), "-": () => scale(2), "0": () => setZoom(whole), Escape: forget,
    Enter: () => chosen >= 0 && open(parts.describe(...parts.stops[chosen])),
    ArrowLeft: () => still() || move(-1, 0), ArrowRight: () => still() || move(1, 0), ArrowUp: () => still() || move(0, 1), ArrowDown: () => still() || move(0, -1),
  };
  element.addEventListener("keydown", event => {
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    if (act() !== true) event.preventDefault();  // a whole map leaves the arrows to the page
  });
  chart.on("click", event => {
    chosen = parts.stops.findIndex(([series, data]) => series === event.seriesIndex && data === event.dataIndex);
    hidden();
    const mark = choose(event.seriesIndex, event.dataIndex);
    if (!event.event.event.zrByTouch) open(mark);
  });
  chart.on("mouseover", event => {
    hidden();
    shown(parts.describe(event.seriesIndex, event.dataIndex));
  });
  chart.on("mouseout", () => hidden());
  chart.on("datazoom", event => {
    hidden();
    for (const change of event.batch || [event]) {
      if (change.start !== undefined) zoom = zoom.map((old, side) => change.dataZoomId === "xy"[side] ? [change.start, change.end] : old);
    }
    drawScale();
    if (presentCell() === cell) return;
    forget();
    cell = presentCell();
    parts = build(cell);
    chart.setOption({series: parts.series}, {replaceMerge: ["series"]});
  });
  for (const [name, act] of [["in", () => scale(0.5)], ["out", () => scale(2)], ["reset", () => setZoom(whole)]]) {
    document.getElementById(`${id}-${name}`).onclick = act;
  }
  return {chart, reset: () => setZoom(whole), pixel};
}

// Axis limits that show all positions in a picture of that size in pixels, with equal scales.
function extents(positions, size) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const pairs of positions) {
    for (let index = 0; index < pairs.length; index++) {
      low[index % 2] = Math.min(low[index % 2], pairs[index]);
      high[index % 2] = Math.max(high[index % 2], pairs[index]);
    }
  }
  const metresPerPixel = 1.06 * Math.max(...size.map((pixels, side) => (high[side] - low[side]) / pixels), 0.02);
  return size.map((pixels, side) => {
    const middle = (low[side] + high[side]) / 2, half = metresPerPixel * pixels / 2;
    return {min: middle - half, max: middle + half};
  });
}
