// Four charts in the page's own colours. uPlot draws on a canvas, so a change of theme draws them anew.
import { colour } from "../common/chrome.js";
import { clockTime, number, word } from "../common/i18n.js";
import { CATEGORIES } from "./figures.js";

const HEIGHT = 126;
const uPlot = globalThis.uPlot;
const tint = (value, alpha) => `color-mix(in srgb, ${value} ${alpha}%, transparent)`;

const NAMES = {
  posts: { field: "posts_per_min", stroke: "--blue" },
  answered: { field: "answered_per_min", stroke: "--accent" },
  late: { field: "late_per_min", stroke: "--late", bars: true },
  category: { field: "category_1h", stroke: "--violet", bars: true },
};
export const CHARTS = Object.keys(NAMES);

function dataOf(name, frame) {
  const given = frame[NAMES[name].field];
  if (name === "category") return [CATEGORIES.map((_, at) => at), CATEGORIES.map((category) => given?.[category] ?? 0)];
  // Where nothing was counted yet, frames leave the minutes out: they are zeros, and the hour keeps its axis.
  const values = [...new Array(60).fill(0), ...(given ?? [])].slice(-60);
  const end = Math.floor(frame.at / 60_000) * 60;
  return [values.map((_, at) => end - (values.length - at) * 60), values];
}

// Whole numbers from zero; at least up to 4, so that a single late case does not fill the chart.
const range = (_, __, max) => [0, Math.max(4, Math.ceil((max ?? 0) * 1.12))];

function options(name, width, onHover) {
  const { stroke, bars } = NAMES[name];
  const line = colour(stroke);
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--ink-3"), font: `11px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false } };
  const isCategory = name === "category";
  return {
    width,
    height: HEIGHT,
    padding: [10, 6, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars, size: 7, fill: line } },
    scales: { x: { time: !isCategory, range: isCategory ? [-0.6, CATEGORIES.length - 0.4] : undefined }, y: { range } },
    axes: [
      { ...axis, grid: { show: false }, size: 26, gap: 6, splits: isCategory ? () => CATEGORIES.map((_, at) => at) : undefined, space: isCategory ? 1 : 64,
        values: (_, ticks) => ticks.map((tick) => (isCategory ? fitting(word("category", CATEGORIES[tick] ?? ""), width) : clockTime(tick * 1000))) },
      { ...axis, grid, size: 34, gap: 6, space: 28, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000],
        values: (_, ticks) => ticks.map((tick) => number(tick, { notation: "compact" })) },
    ],
    series: [{}, { stroke: line, width: bars ? 0 : 1.75, fill: bars ? tint(line, isCategory ? 75 : 90) : tint(line, 13), points: { show: false },
      paths: bars ? uPlot.paths.bars({ size: [isCategory ? 0.62 : 0.7, isCategory ? 44 : 8], radius: 0.12 }) : uPlot.paths.spline() }],
    hooks: { setCursor: [(plot) => onHover(plot.cursor.idx)] },
  };
}

// Six words share the axis: those that do not fit are cut, and are whole in the line above on hovering.
function fitting(text, width) {
  const room = Math.floor((width - 40) / CATEGORIES.length / 6.1);
  return text.length <= room ? text : `${text.slice(0, Math.max(2, room - 1))}…`;
}

export class Chart {
  constructor(name, host, onHover) {
    Object.assign(this, { name, host, onHover, plot: null, drawn: "" });
    this.sizes = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width === this.width) return;
      this.width = width;
      this.renew();
    });
    this.sizes.observe(host);
  }

  show(frame) {
    this.frame = frame;
    const data = dataOf(this.name, frame);
    const sign = JSON.stringify(data);
    if (sign === this.drawn && this.plot) return;
    this.drawn = sign;
    if (this.plot) this.plot.setData(data);
    else this.renew();
  }

  renew() {
    if (!this.frame || !this.width) return;
    this.plot?.destroy();
    this.plot = new uPlot(options(this.name, this.width, (at) => this.hovered(at)), dataOf(this.name, this.frame), this.host);
  }

  hovered(at) {
    if (at == null) return this.onHover("");
    const [x, y] = this.plot?.data ?? dataOf(this.name, this.frame);
    const what = this.name === "category" ? word("category", CATEGORIES[x[at]]) : clockTime(x[at] * 1000);
    this.onHover(`${what}: ${number(y[at] ?? 0)}`);
  }
}
