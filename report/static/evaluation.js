"use strict";
// The charts of recalls, errors and similarities: one line or bar for each evaluation.

(() => {
  const parts = DATA.parts;
  const sets = parts.filter((part, index) => parts.findIndex(other => other.set === part.set) === index);  // chance is the test set's
  const partLegend = (id, chance) => {
    if (parts.length === 1 && !chance) return;
    legend(id, () => [...parts.map((part, index) => ({label: part.label, mark: lineMark(index, part.model)})),
      ...(chance ? [{label: "chance", mark: chanceMark()}] : [])]);
  };

  // Recall against N: an invisible line and the area stacked on it make the band.
  partLegend("at-n", true);
  drawChart("at-n", () => base(
    axis("N, predictions (logarithmic)", false, {type: "log", min: 1, max: Math.max(10, ...parts.map(part => part.at_n.n.at(-1)))}),
    percentAxis("recall@N, %", true), {
      tooltip: tooltip("axis", hovered => {
        const n = Math.max(1, Math.round(hovered[0].axisValue));
        return lines(`R@${n}`, parts.filter(part => n <= part.at_n.n.length).map(part => {
          const at = part.at_n;
          return [`${part.label}: ${round(at.recall[n - 1])} % (${round(at.low[n - 1])} to ${round(at.high[n - 1])}), by chance ${+at.chance[n - 1].toPrecision(2)} %`];
        }));
      }),
      series: [...parts.flatMap((part, index) => {
        const {n, recall, low, high} = part.at_n, band = {stack: `band ${index}`, stackStrategy: "all", silent: true, tooltip: {show: false}};
        return [
          line(index, 0, n.map((value, row) => [value, low[row]]), {...band, lineStyle: {opacity: 0}}),
          line(index, 0, n.map((value, row) => [value, high[row] - low[row]]),
            {...band, lineStyle: {opacity: 0}, areaStyle: {color: seriesColour(index), opacity: 0.16}}),
          line(index, part.model, n.map((value, row) => [value, recall[row]])),
        ];
      }), ...sets.map(part => chanceLine(part.at_n.n.map((value, row) => [value, part.at_n.chance[row]])))],
    }));
  offerTable("at-n", "recall_at_n.csv", () => [["test", "N", "recall", "low", "high", "chance"],
    ...parts.flatMap(({label, at_n: at}) => at.n.map((n, row) => [csvText(label), n, at.recall[row], at.low[row], at.high[row], at.chance[row]]))]);

  const known = sets.filter(part => part.at_distance.chance);
  partLegend("at-distance", known.length);
  drawChart("at-distance", () => base(
    axis("distance that counts as right, m", false, {min: 0, max: Math.max(...parts.map(part => part.at_distance.metres.at(-1)))}),
    percentAxis("R@1, %", true), {
      grid: {left: 50, right: 18, top: 24, bottom: 44},
      tooltip: tooltip("axis", hovered => {
        const metres = hovered[0].axisValue;
        return lines(`within ${round(metres, metres % 1 ? 1 : 0)} m`, parts.map(part => {
          const row = part.at_distance.metres.findIndex(value => value >= metres - 1e-6);
          return [`${part.label}: ` + ["1", "5", "10"].map(n => `R@${n} ${round(part.at_distance.recall[n].at(row))}`).join(", ") + " %"];
        }));
      }),
      series: [...parts.map((part, index) => line(index, part.model,
        part.at_distance.metres.map((value, row) => [value, part.at_distance.recall["1"][row]]),
        index ? {} : {markLine: thresholdLine(part.threshold)})),
      ...known.map(({at_distance: at}) => chanceLine(at.metres.map((value, row) => [value, at.chance[row]])))],
    }));
  offerTable("at-distance", "recall_at_distance.csv", () => [["test", "metres", "R@1", "R@5", "R@10", "chance_R@1"],
    ...parts.flatMap(({label, at_distance: at}) => at.metres.map((metres, row) =>
      [csvText(label), metres, ...["1", "5", "10"].map(n => at.recall[n][row]), at.chance ? at.chance[row] : null]))]);

  function thresholdLine(metres) {
    return {silent: true, symbol: "none", data: [{xAxis: metres}], lineStyle: {color: colour("neutral"), type: [3, 3], width: 1},
      label: {formatter: `${metres} m`, color: colour("muted"), position: "end", distance: 4}};
  }

  partLegend("errors");
  drawChart("errors", () => base(
    axis("distance of the first prediction, m (logarithmic)", false, {type: "log", min: 1, max: Math.max(...parts.map(part => part.errors.metres.at(-1))),
      axisLabel: {color: colour("muted"), fontSize: 12, hideOverlap: true, formatter: value => Math.round(value).toLocaleString("en")}}),
    percentAxis("queries, %", true), {
      grid: {left: 50, right: 18, top: 24, bottom: 44},
      tooltip: tooltip("axis", hovered => {
        const metres = hovered[0].axisValue;
        return lines(`within ${round(metres, metres < 10 ? 1 : 0)} m`, parts.map(part => {
          const row = part.errors.metres.findLastIndex(value => value <= metres * 1.000001);
          return [`${part.label}: ${round(part.errors.share[row])} %`];
        }));
      }),
      series: parts.map((part, index) => line(index, part.model, part.errors.metres.map((value, row) => [value, part.errors.share[row]]),
        index ? {} : {markLine: thresholdLine(part.threshold)})),
    }));
  offerTable("errors", "errors.csv", () => [["test", "metres", "queries_within_percent"],
    ...parts.flatMap(({label, errors}) => errors.metres.map((metres, row) => [csvText(label), metres, errors.share[row]]))]);

  partLegend("similarity");
  const answered = parts.filter(part => part.similarity && part.similarity.threshold.length);
  drawChart("similarity", () => base(percentAxis("recall, % of all queries", false, {splitLine: {show: false}}), percentAxis("precision, %", true), {
    tooltip: tooltip("item", hovered => {
      const {threshold, precision, recall} = answered[hovered.seriesIndex].similarity, row = hovered.dataIndex;
      return lines(answered[hovered.seriesIndex].label, [[`similarity at least ${similarity(threshold[row])}`],
        [`precision ${round(precision[row])} %, recall ${round(recall[row])} %`]]);
    }),
    series: answered.map(part => line(parts.indexOf(part), part.model,
      part.similarity.recall.map((value, row) => [value, part.similarity.precision[row]]),
      {showSymbol: true, symbol: "circle", symbolSize: 9, itemStyle: {color: seriesColour(parts.indexOf(part)), opacity: 0}})),
  }));
  offerTable("similarity", "similarity.csv", () => [["test", "similarity_at_least", "precision", "recall"],
    ...answered.flatMap(({label, similarity: {threshold, precision, recall}}) =>
      threshold.map((value, row) => [csvText(label), value, precision[row], recall[row]]))]);
})();
