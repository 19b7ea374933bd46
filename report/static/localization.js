"use strict";
// The map of localized photos: one photo's estimate with its radius, the nearest database images, and the photo's own GPS position.

(() => {
  const choice = document.getElementById("map-choice"), legendList = document.getElementById("map-legend");
  if (!DATA.photos.length) return;
  DATA.photos.forEach((photo, index) => choice.add(new Option(shortened(photo.path, 60), index)));
  const marks = [["nearest images, larger if more similar", "circle", "found"], ["estimate", "diamond", "missed"], ["the photo's own GPS", "triangle", "ink"]];

  function circle(radius) {
    return Array.from({length: 97}, (_, step) => [radius * Math.cos(step * Math.PI / 48), radius * Math.sin(step * Math.PI / 48)]);
  }

  let photo;
  const plane = drawPlane("map", {
    positions() {
      photo = DATA.photos[choice.value];
      return [[0, 0], ...photo.neighbours.map(image => image.at), ...(photo.radius === null ? [] : circle(photo.radius)), ...(photo.own ? [photo.own.at] : [])];
    },
    build() {
      const outline = photo.radius === null ? [] : circle(photo.radius), places = photo.neighbours.map(image => image.at);
      const similarities = photo.neighbours.map(image => image.similarity), most = Math.max(...similarities), least = Math.min(...similarities);
      const size = row => most > least ? 7 + 9 * (similarities[row] - least) / (most - least) : 12;
      const points = (row, data, more) => ({type: "scatter", data, symbol: marks[row][1], itemStyle: {color: colour(marks[row][2]), opacity: 0.8},
        emphasis: {disabled: true}, ...more});
      const away = position => `${round(Math.hypot(...position))} m from the estimate`;
      return {
        stops: [[2, 0], ...(photo.own ? [[3, 0]] : []), ...places.map((_, row) => [1, row])],
        describe(series, row) {
          if (series === 2) return {at: [0, 0], place: photo.place, title: "Estimate", rows: photo.radius === null ? [] : [[`radius ${round(photo.radius, 0)} m`]]};
          if (series === 3) return {...photo.own, title: "The photo's own GPS", rows: [[away(photo.own.at)]]};
          const image = photo.neighbours[row];
          return {...image, title: `Nearest ${row + 1}`, rows: [[`similarity ${similarity(image.similarity)}`], [away(image.at)], [image.name, "name"]]};
        },
        series: [
          {type: "line", data: outline, showSymbol: false, silent: true, tooltip: {show: false}, lineStyle: {color: colour("missed"), width: 1.5, type: [6, 4]}},
          points(0, places, {symbolSize: (_, {dataIndex}) => size(dataIndex)}),
          points(1, [[0, 0]], {symbolSize: 16}),
          points(2, photo.own ? [photo.own.at] : [], {symbolSize: 14}),
        ],
      };
    },
    shown(mark) {
      const [cx, cy] = plane.pixel(mark.at), style = {stroke: colour("ink"), fill: "none", lineWidth: 2};
      plane.ring = new echarts.graphic.Circle({silent: true, zlevel: 3, z: 100, shape: {cx, cy, r: 12}, style});
      plane.chart.getZr().add(plane.ring);
    },
    hidden() {
      if (plane.ring) plane.chart.getZr().remove(plane.ring);
      plane.ring = null;
    },
  });

  function describeView() {
    legendList.redraw = () => fillLegend(legendList, marks.slice(0, photo.own ? 3 : 2).map(([label, shape, name]) => ({label, mark: shapeMark(shape, name)})));
    legendList.redraw();
    document.getElementById("map-note").textContent = `Metres from the estimate, UTM ${photo.utm[0].toFixed(1)} east, ${photo.utm[1].toFixed(1)} north. `
      + (photo.radius === null ? "" : "The dashed circle is its radius. ") + hint(photo.place !== null);
  }

  offerTable("map", "photo.csv", () => [
    ["mark", "image", "east_of_estimate_m", "north_of_estimate_m", "latitude", "longitude", "similarity", "radius_m"],
    ["estimate", csvPath(photo.path), 0, 0, ...(photo.place || [null, null]), null, photo.radius],
    ...(photo.own ? [["own GPS", csvPath(photo.path), ...photo.own.at, ...photo.own.place, null, null]] : []),
    ...photo.neighbours.map((image, row) => [`nearest ${row + 1}`, csvPath(image.name), ...image.at, ...(image.place || [null, null]), image.similarity, null]),
  ]);
  choice.onchange = () => {
    plane.reset();
    describeView();
  };
  describeView();
})();
