"use strict";
// The charts of recalls, errors and similarities: one line or bar for each evaluation.

(() => {
  const parts = DATA.parts;
  const partLegend = id => {
    if (parts.length > 1) legend(id, () => parts.map((part, index) => ({label: part.label, mark: lineMark(index, part.model)})));
  };

  // Recall against N: an invisible line and the area stacked on it make the band.
  partLegend("at-n");
  drawChart("at-n", () => base(
    axis("N, predictions (logarithmic)", false, {type: "log", min: 1, max: Math.max(10, ...parts.map(part => part.at_n.n.at(-1)))}),
    percentAxis("recall@N, %", true), {
      tooltip: tooltip("axis", hovered => {
        const n = Math.max(1, Math.round(hovered[0].axisValue));
        return lines(`R@${n}`, parts.filter(part => n <= part.at_n.n.length).map(part => {
          const at = part.at_n;
          return [`${part.label}: ${round(at.recall[n - 1])} % (${round(at.low[n - 1])} to ${round(at.high[n - 1])})`];
        }));
      }),
      series: parts.flatMap((part, index) => {
        const {n, recall, low, high} = part.at_n, band = {stack: `band ${index}`, stackStrategy: "all", silent: true, tooltip: {show: false}};
        return [
          line(index, 0, n.map((value, row) => [value, low[row]]), {...band, lineStyle: {opacity: 0}}),
          line(index, 0, n.map((value, row) => [value, high[row] - low[row]]),
            {...band, lineStyle: {opacity: 0}, areaStyle: {color: seriesColour(index), opacity: 0.16}}),
          line(index, part.model, n.map((value, row) => [value, recall[row]])),
        ];
      }),
    }));

  partLegend("at-distance");
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
      series: parts.map((part, index) => line(index, part.model,
        part.at_distance.metres.map((value, row) => [value, part.at_distance.recall["1"][row]]),
        index ? {} : {markLine: thresholdLine(part.threshold)})),
    }));

  function thresholdLine(metres) {
    return {silent: true, symbol: "none", data: [{xAxis: metres}], lineStyle: {color: colour("neutral"), type: [3, 3], width: 1},
      label: {formatter: `${metres} m`, color: colour("muted"), position: "end", distance: 4}};
  }

  // How far off: bins of each evaluation beside each other.
  const edges = [...new Set(parts.flatMap(part => part.errors.edges))].sort((a, b) => a - b);
  const bins = [...edges.map((edge, row) => `${row ? edges[row - 1] : 0}–${edge}`), `> ${edges.at(-1)}`, "none"];
  const shares = part => {
    const {edges: own, shares: values} = part.errors;  // evaluations of another threshold have another edge
    return [...edges.map(edge => own.includes(edge) ? values[own.indexOf(edge)] : 0), ...values.slice(-2)];
  };
  if (parts.length > 1) legend("errors", () => parts.map((part, index) => ({label: part.label, mark: barMark(index)})));
  const lastRight = edges.indexOf(Math.max(...parts.map(part => part.threshold)));
  const shown = 1 + Math.max(lastRight, ...parts.map(part => shares(part).findLastIndex(share => share > 0)));
  drawChart("errors", chart => base(
    axis("distance of the first prediction, m", false, {type: "category", data: bins.slice(0, shown), nameGap: 46,
      axisLabel: {color: colour("muted"), fontSize: 11, interval: 0, rotate: chart.getWidth() / shown < 62 ? 45 : 0}}),
    axis("queries, %", true), {
      grid: {left: 50, right: 18, top: 26, bottom: 62},
      tooltip: {...tooltip("axis", hovered => {
        const row = hovered[0].dataIndex, bin = bins[row];
        return lines(bin === "none" ? "no prediction" : `${bin} m`, parts.map(part => [`${part.label}: ${round(shares(part)[row])} %`]));
      }), axisPointer: {type: "shadow"}},
      series: parts.map((part, index) => ({type: "bar", data: shares(part).slice(0, shown), barMaxWidth: 34, barGap: "12%", barCategoryGap: "28%",
        itemStyle: {color: seriesColour(index), borderRadius: [3, 3, 0, 0]}, emphasis: {disabled: true},
        ...(index ? {} : {markArea: {silent: true, itemStyle: {color: colour("neutral"), opacity: 0.1},
          label: {color: colour("muted"), position: "insideTop", offset: [0, -20], fontSize: 12},
          data: [[{name: "counts as right", xAxis: 0}, {xAxis: lastRight}]]}})})),
    }));

  partLegend("similarity");
  const answered = parts.filter(part => part.similarity && part.similarity.threshold.length);
  drawChart("similarity", () => base(percentAxis("recall, % of all queries", false, {splitLine: {show: false}}), percentAxis("precision, %", true), {
    tooltip: tooltip("item", hovered => {
      const {threshold, precision, recall} = answered[hovered.seriesIndex].similarity, row = hovered.dataIndex;
      return lines(answered[hovered.seriesIndex].label, [[`similarity at least ${round(threshold[row], 3)}`],
        [`precision ${round(precision[row])} %, recall ${round(recall[row])} %`]]);
    }),
    series: answered.map(part => line(parts.indexOf(part), part.model,
      part.similarity.recall.map((value, row) => [value, part.similarity.precision[row]]),
      {showSymbol: true, symbol: "circle", symbolSize: 9, itemStyle: {color: seriesColour(parts.indexOf(part)), opacity: 0}})),
  }));
})();
