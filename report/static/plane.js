"use strict";
// A map in metres: a metre is as long to the east as to the north (so no label may move the grid), buttons and gestures zoom and move.

const SHAPES = {
  circle: '<circle cx="7" cy="7" r="4.5"/>', diamond: '<path d="M7 1.2 12.8 7 7 12.8 1.2 7Z"/>', triangle: '<path d="M7 1.6 13 12.4H1Z"/>',
  rect: '<rect x="4" y="4" width="6" height="6"/>', dot: '<circle cx="7" cy="7" r="2.5"/>',
};
const COARSE = matchMedia("(pointer: coarse)").matches;
const HINT = COARSE ? "Tap a mark for details; pinch to zoom." : "Point at a mark for details; Ctrl and the wheel zoom, dragging moves.";

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

// Draws a map into an element; its buttons are <id>-in, <id>-out and <id>-reset.
// build: () => {positions: flat arrays that it must show, series, tooltip: formatter}; moved: called when the view changes.
// Returns {chart, reset: draws anew, whole; pixel: position => [x, y]}.
function drawPlane(id, build, moved = () => {}) {
  const margin = {left: 72, right: 16, top: 10, bottom: 46}, whole = [[0, 100], [0, 100]];
  let zoom = whole;
  const {chart, draw} = drawChart(id, chart => {
    const {positions, series, tooltip: formatter} = build();
    const size = [chart.getWidth() - margin.left - margin.right, chart.getHeight() - margin.top - margin.bottom];
    const [x, y] = extents(positions, size), still = COARSE && zoom[0][1] - zoom[0][0] > 99;  // a whole map does not hold up scrolling
    const label = {color: colour("muted"), fontSize: 12, hideOverlap: true, showMinLabel: false, showMaxLabel: false,
      formatter: value => Math.abs(value - Math.round(value)) < 1e-6 ? Math.round(value).toLocaleString("en") : ""};
    return base(axis("east, m", false, {...x, axisLabel: label, splitLine: {show: true, lineStyle: {color: colour("line"), opacity: 0.6}}}),
      axis("north, m", true, {...y, axisLabel: label, nameGap: 54}), {
        grid: {...margin, outerBoundsMode: "none", show: true, borderColor: colour("line")}, tooltip: tooltip("item", formatter), series,
        dataZoom: ["x", "y"].map((name, side) => ({type: "inside", id: name, [name + "AxisIndex"]: 0, filterMode: "none",
          start: zoom[side][0], end: zoom[side][1], zoomOnMouseWheel: "ctrl", moveOnMouseMove: !still, preventDefaultMouseMove: !still})),
      });
  });

  function setZoom(windows) {
    zoom = windows;
    moved();
    draw();
  }

  function scale(factor) {
    setZoom(zoom.map(([start, end]) => {
      const width = Math.min(100, Math.max(0.5, (end - start) * factor));
      const begin = Math.min(100 - width, Math.max(0, (start + end - width) / 2));
      return [begin, begin + width];
    }));
  }

  chart.on("datazoom", event => {
    moved();
    for (const change of event.batch || [event]) {
      if (change.start !== undefined) zoom = zoom.map((old, side) => change.dataZoomId === "xy"[side] ? [change.start, change.end] : old);
    }
  });
  for (const [name, act] of [["in", () => scale(0.5)], ["out", () => scale(2)], ["reset", () => setZoom(whole)]]) {
    document.getElementById(`${id}-${name}`).onclick = act;
  }
  return {chart, reset: () => setZoom(whole), pixel: position => chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, position)};
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
