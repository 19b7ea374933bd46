"use strict";
// Similarities of first predictions: bars by bins of equal width, one colour for each folder of queries.

(() => {
  const parts = DATA.parts, width = 0.05;
  const first = Math.min(...parts.map(part => part.edges[0])), last = Math.max(...parts.map(part => part.edges.at(-1)));
  const bins = Array.from({length: Math.round((last - first) / width)}, (_, row) => first + row * width);
  const counts = part => {
    const skipped = Math.round((part.edges[0] - first) / width);
    return bins.map((_, row) => part.counts[row - skipped] || 0);
  };
  if (parts.length > 1) legend("similarities", () => parts.map((part, index) => ({label: part.label, mark: barMark(index)})));
  drawChart("similarities", () => base(
    axis("similarity of the first prediction, from", false, {type: "category", data: bins.map(low => round(low, 2))}),
    axis("queries", true, {minInterval: 1}), {
      tooltip: {...tooltip("axis", hovered => {
        const row = hovered[0].dataIndex;
        return lines(`${round(bins[row], 2)} to ${round(bins[row] + width, 2)}`, parts.map(part => [`${part.label}: ${counts(part)[row]}`]));
      }), axisPointer: {type: "shadow"}},
      series: parts.map((part, index) => ({type: "bar", data: counts(part), barMaxWidth: 34, emphasis: {disabled: true},
        itemStyle: {color: seriesColour(index), borderRadius: [3, 3, 0, 0]}})),
    }));
})();
