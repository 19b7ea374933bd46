"use strict";
// The map of a test: database positions in gray, queries by how they fared, a line from the query under the pointer to its first prediction.

(() => {
  const choice = document.getElementById("map-choice"), legendList = document.getElementById("map-legend");
  const maps = DATA.maps.map(map => ({...map, database: unpack(map.database, Float32Array), queries: unpack(map.queries, Float32Array),
    has_positives: unpack(map.has_positives, Uint8Array)}));
  const parts = DATA.parts.map(({label, set, model, queries}) => ({label, letter: String.fromCharCode(65 + model), map: maps[set],
    names: queries.names, rank: unpack(queries.rank, Uint16Array), predicted: unpack(queries.predicted, Int32Array),
    metres: unpack(queries.metres, Float32Array), positions: unpack(queries.positions, Float32Array),
    similarity: queries.similarity && unpack(queries.similarity, Float32Array)}));

  const views = [...parts.map(part => ({label: part.label, parts: [part]})),
    ...DATA.comparisons.map(pair => ({label: `${parts[pair[0]].label} against ${parts[pair[1]].letter}`, parts: pair.map(index => parts[index])}))];
  views.forEach((view, index) => choice.add(new Option(view.label, index)));

  // Kinds of queries of a view, in the order in which they are drawn: [{label, shape, colour, size, queries}]
  function kinds({parts: [first, second]}) {
    const near = query => first.map.has_positives[query], right = query => first.rank[query] === 1;
    const all = [...first.rank.keys()], pick = test => all.filter(query => near(query) && test(query));
    const without = {label: "no database image near", shape: "triangle", colour: "neutral", size: 7, queries: all.filter(query => !near(query))};
    if (!second) {
      return [without, {label: "found", shape: "circle", colour: "found", size: 7, queries: pick(right)},
        {label: "missed", shape: "diamond", colour: "missed", size: 9, queries: pick(query => !right(query))}];
    }
    const other = query => second.rank[query] === 1;
    return [{label: "both find", shape: "rect", colour: "neutral", size: 5, queries: pick(query => right(query) && other(query))},
      {label: "both miss", shape: "triangle", colour: "neutral", size: 6, queries: pick(query => !right(query) && !other(query))},
      {label: `${first.letter} alone finds`, shape: "circle", colour: "found", size: 8, queries: pick(query => right(query) && !other(query))},
      {label: `${second.letter} alone finds`, shape: "diamond", colour: "missed", size: 10, queries: pick(query => !right(query) && other(query))}];
  }

  function describe(part, query) {
    const rank = part.rank[query], predicted = part.predicted[query];
    if (predicted < 0) return [["✗ no prediction"]];
    const similarity = part.similarity ? `, similarity ${round(part.similarity[query], 3)}` : "";
    return [[rank === 1 ? "✓ found at the first prediction" : rank ? `✗ first right prediction at rank ${rank}` : "✗ no right prediction"],
      [`first prediction: ${round(part.metres[query])} m off${similarity}`], [part.names[predicted], "name"]];
  }

  let view, shown;
  const crowded = map => map.queries.length > 4000 ? 0.7 : 1;  // marks are smaller where there are many
  const pairs = [];
  const plane = drawPlane("map", () => {
    view = views[choice.value];
    shown = kinds(view);
    const map = view.parts[0].map;
    return {
      positions: [map.database, map.queries],
      tooltip: hovered => {
        const query = shown[hovered.seriesIndex - 1].queries[hovered.dataIndex];
        return lines("Query", [[map.names[query], "name"], ...view.parts.flatMap(part =>
          [...(view.parts.length > 1 ? [[part.letter, "part"]] : []), ...describe(part, query)])]);
      },
      series: [
        {type: "scatter", data: map.database, dimensions: ["x", "y"], large: true, largeThreshold: 2000, zlevel: 0, silent: true,
          symbolSize: map.database.length > 20000 ? 2 : 5, tooltip: {show: false}, itemStyle: {color: colour("database")}},
        ...shown.map(kind => ({type: "scatter", data: kind.queries.map(query => at(map.queries, query)), large: true, largeThreshold: 2000,
          zlevel: 1, symbol: kind.shape, symbolSize: kind.size * crowded(map), itemStyle: {color: colour(kind.colour), opacity: 0.85},
          emphasis: {disabled: true}})),
      ],
    };
  }, clearPairs);

  function markPairs(event) {
    clearPairs();
    const query = shown[event.seriesIndex - 1].queries[event.dataIndex], [x1, y1] = plane.pixel(at(view.parts[0].map.queries, query));
    view.parts.forEach((part, index) => {
      if (part.predicted[query] < 0) return;
      const [x2, y2] = plane.pixel(at(part.positions, part.predicted[query])), more = {silent: true, zlevel: 3, z: 100};
      const style = {stroke: colour("ink"), fill: "none", lineWidth: 1.5, lineDash: index ? [4, 3] : null};
      pairs.push(new echarts.graphic.Line({...more, shape: {x1, y1, x2, y2}, style}),
        new echarts.graphic.Circle({...more, shape: {cx: x2, cy: y2, r: 6}, style}));
    });
    pairs.forEach(mark => plane.chart.getZr().add(mark));
  }

  function clearPairs() {
    pairs.splice(0).forEach(mark => plane.chart.getZr().remove(mark));
  }

  plane.chart.on("mouseover", markPairs);
  plane.chart.on("click", markPairs);
  plane.chart.on("mouseout", clearPairs);

  function describeView() {
    const map = view.parts[0].map;
    legendList.redraw = () => fillLegend(legendList, [
      ...shown.filter(kind => kind.queries.length).map(kind => ({label: `${kind.label} (${kind.queries.length.toLocaleString("en")})`,
        mark: shapeMark(kind.shape, kind.colour)})),
      {label: "database", mark: shapeMark("dot", "database")}]);
    legendList.redraw();
    document.getElementById("map-note").textContent = `Found: the first prediction is right. Metres from UTM ${map.origin[0].toFixed(0)} east, ${map.origin[1].toFixed(0)} north. `
      + (map.cell ? `Database images within cells of ${map.cell} m are drawn as one. ` : "")
      + (view.parts.length > 1 ? "The line to B's first prediction is dashed. " : "") + HINT;
  }

  choice.onchange = () => {
    plane.reset();
    describeView();
  };
  describeView();
})();
