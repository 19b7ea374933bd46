"use strict";
// The map of localized photos: one photo's estimate with its radius, the nearest database images, and the photo's own GPS position.

(() => {
  const choice = document.getElementById("map-choice"), legendList = document.getElementById("map-legend");
  if (!DATA.photos.length) return;
  DATA.photos.forEach((photo, index) => choice.add(new Option(photo.path, index)));
  const marks = [["nearest images, larger if more similar", "circle", "found"], ["estimate", "diamond", "missed"], ["the photo's own GPS", "triangle", "ink"]];

  function circle(radius) {
    return Array.from({length: 97}, (_, step) => [radius * Math.cos(step * Math.PI / 48), radius * Math.sin(step * Math.PI / 48)]);
  }

  let photo;
  const plane = drawPlane("map", () => {
    photo = DATA.photos[choice.value];
    const outline = photo.radius === null ? [] : circle(photo.radius), places = photo.neighbours.map(image => image.at);
    const similarities = photo.neighbours.map(image => image.similarity), most = Math.max(...similarities), least = Math.min(...similarities);
    const size = row => most > least ? 7 + 9 * (similarities[row] - least) / (most - least) : 12;
    const points = (row, data, more) => ({type: "scatter", data, symbol: marks[row][1], itemStyle: {color: colour(marks[row][2]), opacity: 0.8},
      emphasis: {disabled: true}, ...more});
    return {
      positions: [[0, 0], ...places, ...outline, ...(photo.own ? [photo.own] : [])],
      tooltip: ({seriesIndex, dataIndex}) => seriesIndex === 1
        ? lines(`Nearest ${dataIndex + 1}`, [[`similarity ${round(similarities[dataIndex], 3)}`],
          [`${round(Math.hypot(...places[dataIndex]))} m from the estimate`], [photo.neighbours[dataIndex].name, "name"]])
        : seriesIndex === 2 ? lines("Estimate", photo.radius === null ? [] : [[`radius ${round(photo.radius, 0)} m`]])
          : lines("The photo's own GPS", [[`${round(Math.hypot(...photo.own))} m from the estimate`]]),
      series: [
        {type: "line", data: outline, showSymbol: false, silent: true, tooltip: {show: false}, lineStyle: {color: colour("missed"), width: 1.5, type: [6, 4]}},
        points(0, places, {symbolSize: (_, {dataIndex}) => size(dataIndex)}),
        points(1, [[0, 0]], {symbolSize: 16}),
        points(2, photo.own ? [photo.own] : [], {symbolSize: 14}),
      ],
    };
  });

  function describeView() {
    legendList.redraw = () => fillLegend(legendList, marks.slice(0, photo.own ? 3 : 2).map(([label, shape, name]) => ({label, mark: shapeMark(shape, name)})));
    legendList.redraw();
    document.getElementById("map-note").textContent = `Metres from the estimate, UTM ${photo.utm[0].toFixed(1)} east, ${photo.utm[1].toFixed(1)} north. `
      + (photo.radius === null ? "" : "The dashed circle is its radius. ") + HINT;
  }

  choice.onchange = () => {
    plane.reset();
    describeView();
  };
  describeView();
})();
