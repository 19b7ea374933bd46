"use strict";
// Losses and validation recalls of one or several runs, by epoch.

(() => {
  const runs = DATA.training, first = Math.min(...runs.flatMap(run => run.epoch));

  function draw(id, part, unit, yAxis) {
    const curves = runs.flatMap((run, index) => Object.keys(run[part]).map((column, row) => ({
      label: runs.length > 1 ? `${run.name}: ${column}` : column, index: runs.length > 1 ? index : row, dash: runs.length > 1 ? row : 0,
      chance: column.startsWith("chance"), data: run.epoch.map((epoch, position) => [epoch, run[part][column][position]]),
    })));
    if (curves.length > 1) legend(id, () => curves.map(curve => ({label: curve.label, mark: curve.chance ? chanceMark() : lineMark(curve.index, curve.dash)})));
    drawChart(id, () => base(axis("epoch", false, {min: first, minInterval: 1, max: Math.max(first + 1, ...runs.flatMap(run => run.epoch))}), yAxis(), {
      tooltip: tooltip("axis", hovered => lines(`Epoch ${hovered[0].axisValue}`, hovered.filter(point => point.value[1] !== null).map(point =>
        [`${curves[point.seriesIndex].label}: ${unit ? round(point.value[1]) + unit : point.value[1].toPrecision(4)}`]))),
      series: curves.map(curve => curve.chance ? chanceLine(curve.data) : line(curve.index, curve.dash, curve.data, {showSymbol: curve.data.length < 30, symbolSize: 5})),
    }));
    offerTable(id, `${id.replace("-", "_")}.csv`, () => [["curve", "epoch", part === "losses" ? "loss" : "recall"],
      ...curves.flatMap(curve => curve.data.map(([epoch, value]) => [csvText(curve.label), epoch, value]))]);
  }

  draw("training-loss", "losses", "", () => axis("loss", true, {scale: true}));
  draw("training-recall", "recalls", " %", () => percentAxis("recall, %", true));
})();
