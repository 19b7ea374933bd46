"use strict";
// The map of a test: database positions in gray, queries by how they fared, a line from the query under the pointer to its first
// prediction. Queries that would hide each other are one mark: discs in each other, whose areas are the numbers.

(() => {
  const choice = document.getElementById("map-choice"), legendList = document.getElementById("map-legend");
  const SMALLEST = 7, LARGEST = 34, NAMED = 4, LINES = 20, NOWHERE = -(2 ** 31);  // pixels; queries of a mark that are named, and that get a line
  const maps = DATA.maps.map(map => ({...map, database: unpack(map.database, Float32Array), queries: unpack(map.queries, Float32Array),
    places: unpack(map.places, Int32Array), has_positives: unpack(map.has_positives, Uint8Array)}));
  const parts = DATA.parts.map(({label, set, model, queries}) => ({label, letter: String.fromCharCode(65 + model), map: maps[set],
    names: queries.names, rank: unpack(queries.rank, Uint16Array), predicted: unpack(queries.predicted, Int32Array),
    metres: unpack(queries.metres, Float32Array), positions: unpack(queries.positions, Float32Array),
    similarity: queries.similarity && unpack(queries.similarity, Float32Array)}));

  const views = [...parts.map(part => ({label: part.label, parts: [part]})),
    ...DATA.comparisons.map(pair => ({label: `${parts[pair[0]].label} against ${parts[pair[1]].letter}`, parts: pair.map(index => parts[index])}))];
  views.forEach((view, index) => choice.add(new Option(shortened(view.label, 60), index)));

  // Kinds of queries of a view, from the outermost disc to the innermost: [{label, shape, colour, queries}]
  function kinds({parts: [first, second]}) {
    const near = query => first.map.has_positives[query], right = query => first.rank[query] === 1;
    const all = [...first.rank.keys()], pick = test => all.filter(query => near(query) && test(query));
    const without = {label: "no database image near", shape: "triangle", colour: "neutral", queries: all.filter(query => !near(query))};
    if (!second) {
      return [without, {label: "found", shape: "circle", colour: "found", queries: pick(right)},
        {label: "missed", shape: "diamond", colour: "missed", queries: pick(query => !right(query))}];
    }
    const other = query => second.rank[query] === 1;
    return [{label: "both find", shape: "rect", colour: "neutral", queries: pick(query => right(query) && other(query))},
      {label: "both miss", shape: "triangle", colour: "neutral", queries: pick(query => !right(query) && !other(query))},
      {label: `${first.letter} alone finds`, shape: "circle", colour: "found", queries: pick(query => right(query) && !other(query))},
      {label: `${second.letter} alone finds`, shape: "diamond", colour: "missed", queries: pick(query => !right(query) && other(query))}];
  }

  function describe(part, query) {
    const rank = part.rank[query], predicted = part.predicted[query];
    if (predicted < 0) return [["✗ no prediction"]];
    const likeness = part.similarity ? `, similarity ${similarity(part.similarity[query])}` : "";
    return [[rank === 1 ? "✓ found at the first prediction" : rank ? `✗ first right prediction at rank ${rank}` : "✗ no right prediction"],
      [`first prediction: ${round(part.metres[query])} m off${likeness}`], [part.names[predicted], "name"]];
  }

  function describeAll(query) {
    return view.parts.flatMap(part => [...(view.parts.length > 1 ? [[part.letter, "part"]] : []), ...describe(part, query)]);
  }

  // Queries within a cell: [{queries: {kind: [query]}, all: [query], at: their mean position}]
  function gather(map, kindOf, cell) {
    const groups = new Map();
    for (let query = 0; query < map.names.length; query++) {
      const [x, y] = at(map.queries, query), key = `${Math.round(x / cell)} ${Math.round(y / cell)}`;
      if (!groups.has(key)) groups.set(key, {queries: {}, all: [], at: [0, 0]});
      const group = groups.get(key);
      (group.queries[kindOf[query]] ||= []).push(query);
      group.all.push(query);
      group.at = [group.at[0] + x, group.at[1] + y];
    }
    return [...groups.values()].map(group => ({...group, at: group.at.map(sum => sum / group.all.length)}));
  }

  // The diameters of a group's discs, from the innermost kind outwards; each is seen, however few it stands for.
  function diameters(group, power) {
    const whole = SMALLEST * group.all.length ** power, sizes = {};
    let inside = 0, least = 0;
    for (const kind of Object.keys(group.queries).map(Number).sort((a, b) => b - a)) {
      inside += group.queries[kind].length;
      least = sizes[kind] = Math.max(whole * Math.sqrt(inside / group.all.length), least + 4);
    }
    return sizes;
  }

  let view, shown, groups;
  const pairs = [];
  const plane = drawPlane("map", {
    positions() {
      view = views[choice.value];
      shown = kinds(view);
      return [view.parts[0].map.database, view.parts[0].map.queries];
    },
    build(cell) {
      const map = view.parts[0].map, kindOf = new Uint8Array(map.names.length);
      shown.forEach((kind, index) => kind.queries.forEach(query => { kindOf[query] = index; }));
      groups = gather(map, kindOf, cell);
      const most = Math.max(...groups.map(group => group.all.length));
      const power = Math.min(0.5, Math.log(LARGEST / SMALLEST) / Math.log(Math.max(2, most)));
      const discs = shown.map(() => []), stops = [];
      groups.forEach((group, index) => {
        for (const [kind, size] of Object.entries(diameters(group, power))) discs[kind].push([...group.at, index, size]);
      });
      discs.forEach((marks, kind) => marks.forEach((mark, index) => {
        if (kind === Math.min(...Object.keys(groups[mark[2]].queries))) stops.push([mark[2], kind + 1, index]);
      }));
      const single = mark => groups[mark[2]].all.length === 1;
      return {
        describe: (series, index) => describeGroup(groups[discs[series - 1][index][2]]),
        stops: stops.sort((a, b) => a[0] - b[0]).map(stop => stop.slice(1)),
        series: [
          {type: "scatter", data: map.database, dimensions: ["x", "y"], large: true, largeThreshold: 2000, zlevel: 0, silent: true,
            symbolSize: map.database.length > 20000 ? 2 : 5, tooltip: {show: false}, itemStyle: {color: colour("database")}},
          ...shown.map((kind, index) => ({type: "scatter", data: discs[index], zlevel: 1, encode: {x: 0, y: 1},
            symbol: mark => single(mark) ? kind.shape : "circle", symbolSize: mark => single(mark) && kind.shape === "diamond" ? mark[3] + 2 : mark[3],
            itemStyle: {color: colour(kind.colour), borderColor: colour("card"), borderWidth: 0.5, opacity: 1}, emphasis: {disabled: true}})),
        ],
      };
    },
    shown: drawPairs,
    hidden: clearPairs,
  });

  function describeGroup(group) {
    const map = view.parts[0].map, query = group.all[0], place = at(map.places, query);
    const common = {at: group.at, queries: group.all, place: place[0] === NOWHERE ? null : place.map(value => value / 1e6)};
    if (group.all.length === 1) return {...common, title: "Query", rows: [[map.names[query], "name"], ...describeAll(query)]};
    const counts = Object.entries(group.queries).map(([kind, queries]) => `${queries.length.toLocaleString("en")} ${shown[kind].label}`);
    const named = group.all.slice(0, NAMED), more = group.all.length - named.length;
    return {...common, title: `${group.all.length.toLocaleString("en")} queries: ${counts.join(", ")}`, rows: [
      ...named.flatMap(query => [[map.names[query], "name first"], ...describeAll(query).filter(row => row[1] !== "name")]),
      ...(more ? [[`and ${more.toLocaleString("en")} more: zoom in, or see the CSV`, "first"]] : []),
    ]};
  }

  function drawPairs(mark) {
    mark.queries.slice(0, LINES).forEach(query => {
      const [x1, y1] = plane.pixel(at(view.parts[0].map.queries, query));
      view.parts.forEach((part, index) => {
        if (part.predicted[query] < 0) return;
        const [x2, y2] = plane.pixel(at(part.positions, part.predicted[query])), more = {silent: true, zlevel: 3, z: 100};
        const style = {stroke: colour("ink"), fill: "none", lineWidth: 1.5, lineDash: index ? [4, 3] : null};
        pairs.push(new echarts.graphic.Line({...more, shape: {x1, y1, x2, y2}, style}),
          new echarts.graphic.Circle({...more, shape: {cx: x2, cy: y2, r: 6}, style}));
      });
    });
    const [cx, cy] = plane.pixel(mark.at), ring = {stroke: colour("ink"), fill: "none", lineWidth: 2};
    pairs.push(new echarts.graphic.Circle({silent: true, zlevel: 3, z: 100, shape: {cx, cy, r: LARGEST / 2 - 5}, style: ring}));
    pairs.forEach(pair => plane.chart.getZr().add(pair));
  }

  function clearPairs() {
    pairs.splice(0).forEach(mark => plane.chart.getZr().remove(mark));
  }

  function describeView() {
    const map = view.parts[0].map;
    legendList.redraw = () => fillLegend(legendList, [
      ...shown.filter(kind => kind.queries.length).map(kind => ({label: `${kind.label} (${kind.queries.length.toLocaleString("en")})`,
        mark: shapeMark(kind.shape, kind.colour)})),
      {label: "database", mark: shapeMark("dot", "database")}]);
    legendList.redraw();
    document.getElementById("map-note").textContent = `Found: the first prediction is right. Queries close together are one mark, `
      + `whose rings have the areas of their numbers. Metres from UTM ${map.origin[0].toFixed(0)} east, ${map.origin[1].toFixed(0)} north. `
      + (map.cell ? `Database images within cells of ${map.cell} m are drawn as one. ` : "")
      + (view.parts.length > 1 ? "The line to B's first prediction is dashed. " : "") + hint(map.places.some(value => value !== NOWHERE));
  }

  offerTable("map", "map.csv", () => {
    const map = view.parts[0].map, head = ["query", "latitude", "longitude", "UTM_east", "UTM_north"];
    const columns = ["first_right_rank", "first_prediction", "metres", "similarity"];
    return [[...head, ...view.parts.flatMap(part => columns.map(name => view.parts.length > 1 ? `${part.letter}_${name}` : name))],
      ...map.names.map((name, query) => [
        csvPath(name), ...at(map.places, query).map(value => value === NOWHERE ? null : (value / 1e6).toFixed(6)),
        ...at(map.queries, query).map((value, side) => (map.origin[side] + value).toFixed(2)),
        ...view.parts.flatMap(part => {
          const predicted = part.predicted[query], none = predicted < 0;
          return [part.rank[query] || null, none ? null : csvPath(part.names[predicted]), none ? null : part.metres[query].toFixed(2),
            none || !part.similarity ? null : part.similarity[query].toFixed(7)];
        }),
      ])];
  });
  choice.onchange = () => {
    plane.reset();
    describeView();
  };
  describeView();
})();
