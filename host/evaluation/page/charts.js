// Draws the page's charts with Chart.js. Each is a canvas, and before it the JSON that to_json() of
// host/evaluation/chart.h makes. They are drawn again if the page turns dark, light or to paper.
(() => {
  'use strict';
  const manySeries = 8, manyPoints = 30;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isDark = () => matchMedia('screen and (prefers-color-scheme: dark)').matches;
  const short = (value) => Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '–';

  // A hue far from its neighbours' for each of many series.
  const colour = (index) => `hsl(${(215 + 137.508 * index) % 360}, 65%, ` +
    `${(index % 2 ? 56 : 45) + (isDark() ? 14 : 0)}%)`;

  const dataset = (chart) => (series, index) => {
    const line = series.reference ? style('--soft') : colour(index);
    const values = series.y.map((y, i) => ({x: series.x[i] ?? i + 1, y}));
    return {
      label: series.name,
      data: chart.kind === 'bars' ? series.y : values.filter(({y}) => y !== null),
      borderColor: line,
      backgroundColor: line,
      borderWidth: chart.kind === 'bars' ? 0 : series.reference ? 1 : 1.6,
      borderDash: series.reference ? [5, 4] : [],
      pointRadius: chart.kind === 'points' ? 5 : series.reference || values.length > manyPoints ? 0 : 2,
      maxBarThickness: 14,
    };
  };

  const axis = (title) => ({
    title: {display: title !== '', text: title},
    grid: {color: style('--line')},
  });

  // A line across bars at the value that is ideal.
  const ideal = (value) => ({
    id: 'ideal',
    afterDatasetsDraw({ctx, chartArea, scales}) {
      const x = scales.x.getPixelForValue(value);
      ctx.save();
      ctx.strokeStyle = style('--ink');
      ctx.setLineDash([4, 3]);
      ctx.beginPath();
      ctx.moveTo(x, chartArea.top);
      ctx.lineTo(x, chartArea.bottom);
      ctx.stroke();
      ctx.restore();
    },
  });

  const scales = (chart) => {
    const x = axis(chart.x_title), y = axis(chart.y_title);
    const ends = {min: chart.least ?? undefined, max: chart.greatest ?? undefined};
    if (chart.kind !== 'bars') return {x: {...x, type: 'linear'}, y: {...y, ...ends}};
    return {x: {...y, beginAtZero: true, suggestedMax: chart.ideal ?? undefined},
            y: {...x, ticks: {autoSkip: false}}};
  };

  const options = (chart) => ({
    animation: false,
    maintainAspectRatio: false,
    indexAxis: chart.kind === 'bars' ? 'y' : 'x',
    scales: scales(chart),
    plugins: {
      legend: {
        display: chart.series.length > 1,
        position: 'bottom',
        maxHeight: chart.series.length > manySeries ? 90 : undefined,
        labels: {boxWidth: 12, boxHeight: chart.kind === 'points' ? 12 : 3},
      },
      tooltip: {callbacks: {label: ({dataset: {label}, parsed: {x, y}}) => chart.kind === 'bars' ?
          `${label}: ${short(x)}` : `${label}: ${short(x)}, ${short(y)}`}},
    },
  });

  const draw = () => {
    Chart.defaults.color = style('--soft');
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    for (const canvas of document.querySelectorAll('.chart canvas')) {
      Chart.getChart(canvas)?.destroy();
      const chart = JSON.parse(canvas.parentElement.previousElementSibling.textContent);
      new Chart(canvas, {
        type: {bars: 'bar', points: 'scatter'}[chart.kind] ?? 'line',
        data: {labels: chart.kind === 'bars' ? chart.labels : undefined,
               datasets: chart.series.map(dataset(chart))},
        options: options(chart),
        plugins: chart.ideal === null ? [] : [ideal(chart.ideal)],
      });
    }
  };

  draw();
  for (const query of ['(prefers-color-scheme: dark)', 'print'])
    matchMedia(query).addEventListener('change', draw);
})();
