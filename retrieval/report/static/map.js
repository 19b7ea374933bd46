"use strict";
// The map: database positions in gray, queries by how they fared, a line from the query under the pointer to its first prediction.

(() => {
  const choice = document.getElementById("map-choice"), legendList = document.getElementById("map-legend");
  if (!choice) return;
  const SHAPES = {
    circle: '<circle cx="7" cy="7" r="4.5"/>', diamond: '<path d="M7 1.2 12.8 7 7 12.8 1.2 7Z"/>', triangle: '<path d="M7 1.6 13 12.4H1Z"/>',
    rect: '<rect x="4" y="4" width="6" height="6"/>', dot: '<circle cx="7" cy="7" r="2.5"/>',
  };
  const MARGIN = {left: 62, right: 16, top: 10, bottom: 46};

  function unpack(text, type) {
    return new type(Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer);
  }

  const maps = DATA.maps.map(map => ({...map, database: unpack(map.database, Float32Array), queries: unpack(map.queries, Float32Array),
    has_positives: unpack(map.has_positives, Uint8Array)}));
  const parts = DATA.parts.map(({label, set, model, queries}) => ({label, letter: String.fromCharCode(65 + model), map: maps[set], names: queries.names,
    rank: unpack(queries.rank, Uint16Array), predicted: unpack(queries.predicted, Int32Array), metres: unpack(queries.metres, Float32Array),
    positions: unpack(queries.positions, Float32Array), similarity: queries.similarity && unpack(queries.similarity, Float32Array)}));

  const views = [...parts.map(part => ({label: part.label, parts: [part]})),
    ...DATA.comparisons.map(pair => ({label: `${parts[pair[0]].label} against ${parts[pair[1]].letter}`, parts: pair.map(index => parts[index])}))];
  views.forEach((view, index) => choice.add(new Option(view.label, index)));

  // Kinds of queries of a view, the most frequent drawn first: [{label, shape, colour, size, queries}]
  function kinds({parts: [first, second]}) {
    const right = query => first.rank[query] === 1, near = query => first.map.has_positives[query];
    const all = [...first.rank.keys()], pick = test => all.filter(query => near(query) && test(query));
    const without = {label: "no database image near", shape: "triangle", colour: "neutral", size: 7, queries: all.filter(query => !near(query))};
    if (!second) {
      return [{label: "found", shape: "circle", colour: "found", size: 7, queries: pick(right)},
        {label: "missed", shape: "diamond", colour: "missed", size: 9, queries: pick(query => !right(query))}, without];
    }
    const other = query => second.rank[query] === 1;
    return [{label: "both miss", shape: "triangle", colour: "neutral", size: 6, queries: pick(query => !right(query) && !other(query))},
      {label: "both find", shape: "rect", colour: "neutral", size: 5, queries: pick(query => right(query) && other(query))},
      {label: `${first.letter} alone finds`, shape: "circle", colour: "found", size: 8, queries: pick(query => right(query) && !other(query))},
      {label: `${second.letter} alone finds`, shape: "diamond", colour: "missed", size: 10, queries: pick(query => !right(query) && other(query))}];
  }

  function at(positions, index) {
    return [positions[2 * index], positions[2 * index + 1]];
  }

  // Extents that show everything with a metre as long along one axis as along the other.
  function extents(chart, map) {
    const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (const positions of [map.database, map.queries]) {
      for (let index = 0; index < positions.length; index++) {
        low[index % 2] = Math.min(low[index % 2], positions[index]);
        high[index % 2] = Math.max(high[index % 2], positions[index]);
      }
    }
    const width = chart.getWidth() - MARGIN.left - MARGIN.right, height = chart.getHeight() - MARGIN.top - MARGIN.bottom;
    const metresPerPixel = 1.06 * Math.max((high[0] - low[0]) / width, (high[1] - low[1]) / height, 0.02);
    return [width, height].map((pixels, side) => {
      const middle = (low[side] + high[side]) / 2, half = metresPerPixel * pixels / 2;
      return {min: middle - half, max: middle + half};
    });
  }

  function describe(part, query) {
    const rank = part.rank[query], predicted = part.predicted[query];
    if (predicted < 0) return [["no prediction"]];
    const similarity = part.similarity ? `, similarity ${round(part.similarity[query], 3)}` : "";
    return [[rank === 1 ? "✓ found at the first prediction" : rank ? `✗ first right prediction at rank ${rank}` : "✗ no right prediction"],
      [`first prediction: ${round(part.metres[query])} m off${similarity}`], [part.names[predicted], "name"]];
  }

  let shown, view, zoom = [[0, 100], [0, 100]];
  const coarse = matchMedia("(pointer: coarse)").matches;
  const drawn = drawChart("map", chart => {
    view = views[choice.value];
    shown = kinds(view);
    const map = view.parts[0].map, [x, y] = extents(chart, map);
    const formatter = value => Math.abs(value - Math.round(value)) < 1e-6 ? Math.round(value).toLocaleString("en") : "";
    const edge = {scale: true, axisLabel: {color: colour("muted"), fontSize: 12, hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter}};
    return base(axis("east, m", false, {...x, ...edge, splitLine: {show: true, lineStyle: {color: colour("line"), opacity: 0.6}}}),
      axis("north, m", true, {...y, ...edge, nameGap: 46}), {
        grid: {...MARGIN, show: true, borderColor: colour("line")},
        dataZoom: [0, 1].map(side => ({type: "inside", [side ? "yAxisIndex" : "xAxisIndex"]: 0, filterMode: "none", start: zoom[side][0],
          end: zoom[side][1], zoomOnMouseWheel: "ctrl", moveOnMouseMove: !coarse || zoom[0][1] - zoom[0][0] < 99, preventDefaultMouseMove: !coarse})),
        tooltip: tooltip("item", hovered => {
          const query = shown[hovered.seriesIndex - 1].queries[hovered.dataIndex];
          return lines("Query", [[map.names[query], "name"], ...view.parts.flatMap(part =>
            [...(view.parts.length > 1 ? [[part.label]] : []), ...describe(part, query)])]);
        }),
        series: [
          {type: "scatter", data: map.database, dimensions: ["x", "y"], large: true, largeThreshold: 2000, symbolSize: map.database.length > 20000 ? 2 : 5, silent: true, zlevel: 0,
            tooltip: {show: false}, itemStyle: {color: colour("database")}},
          ...shown.map(kind => ({type: "scatter", data: kind.queries.map(query => at(map.queries, query)), symbol: kind.shape, symbolSize: kind.size,
            large: true, largeThreshold: 2000, zlevel: 1, itemStyle: {color: colour(kind.colour), opacity: 0.85}, emphasis: {disabled: true}})),
        ],
      });
  });
  const {chart} = drawn;

  function markPair(event) {
    clearPairs();
    if (event.seriesIndex < 1) return;
    const query = shown[event.seriesIndex - 1].queries[event.dataIndex], map = view.parts[0].map;
    const pixel = position => chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, position);
    const [qx, qy] = pixel(at(map.queries, query));
    view.parts.forEach((part, index) => {
      if (part.predicted[query] < 0) return;
      const [px, py] = pixel(at(part.positions, part.predicted[query])), stroke = colour("ink");
      const more = {silent: true, zlevel: 3, z: 100};
      pairs.push(new echarts.graphic.Line({...more, shape: {x1: qx, y1: qy, x2: px, y2: py}, style: {stroke, lineWidth: 1.5,
        lineDash: index ? [4, 3] : null}}), new echarts.graphic.Circle({...more, shape: {cx: px, cy: py, r: 6}, style: {fill: "none", stroke, lineWidth: 1.5}}));
    });
    pairs.forEach(mark => chart.getZr().add(mark));
  }

  const pairs = [];
  function clearPairs() {
    pairs.splice(0).forEach(mark => chart.getZr().remove(mark));
  }

  chart.on("mouseover", markPair);
  chart.on("click", markPair);
  chart.on("mouseout", clearPairs);
  chart.on("datazoom", event => {
    clearPairs();
    for (const change of event.batch || [event]) {
      const side = change.dataZoomIndex ?? (/1$|1\0/.test(change.dataZoomId || "") ? 1 : 0);
      if (change.start !== undefined) zoom[side] = [change.start, change.end];
    }
  });

  function setZoom(windows) {
    zoom = windows;
    clearPairs();
    drawn.draw();
  }

  function scale(factor) {
    const widths = zoom.map(([start, end]) => Math.min(100, Math.max(0.5, (end - start) * factor)));
    setZoom(zoom.map(([start, end], side) => {
      const begin = Math.min(100 - widths[side], Math.max(0, (start + end - widths[side]) / 2));
      return [begin, begin + widths[side]];
    }));
  }

  document.getElementById("map-in").onclick = () => scale(0.5);
  document.getElementById("map-out").onclick = () => scale(2);
  document.getElementById("map-reset").onclick = () => setZoom([[0, 100], [0, 100]]);

  function describeView() {
    const map = view.parts[0].map;
    legendList.redraw = () => fillLegend(legendList, [
      ...shown.filter(kind => kind.queries.length).map(kind => ({label: `${kind.label} (${kind.queries.length.toLocaleString("en")})`,
        mark: `<g fill="${colour(kind.colour)}">${SHAPES[kind.shape]}</g>`})),
      {label: "database", mark: `<g fill="${colour("database")}">${SHAPES.dot}</g>`}]);
    legendList.redraw();
    document.getElementById("map-note").textContent = `Metres from UTM ${map.origin[0].toFixed(0)} east, ${map.origin[1].toFixed(0)} north. `
      + (map.cell ? `Database images within cells of ${map.cell} m are drawn as one. ` : "")
      + (coarse ? "Tap a query to see its first prediction; pinch to zoom." : "Point at a query to see its first prediction; Ctrl and the wheel zoom, dragging moves.");
  }

  choice.onchange = () => {
    setZoom([[0, 100], [0, 100]]);
    describeView();
  };
  describeView();
})();
