// The charts of the last 15 minutes, drawn from the member `recent` of /status, and the same values as a table.

import { DASH, duration, percent, rate, whole } from "./formats.js";

const SECONDS = 900;
const GAP_SECONDS = 60; // the line breaks: nothing was measured in between
const WIDTH = 300;
const HEIGHT = 60;
const SVG = "http://www.w3.org/2000/svg";

// A quantile beyond the last bucket is that bucket's bound, and no bound of a last bucket is lower than this.
const LAST_BOUND = 10;

const atLeast = (value) => (value >= LAST_BOUND ? "\u2265 " : "") + duration(value);
const perSecond = (value) => (Number.isFinite(value) ? `${rate(value)}/s` : DASH);

export const CHARTS = [
  { name: "requests", title: "Requests", format: perSecond },
  { name: "errors", title: "Errors (5xx)", format: perSecond },
  { name: "slow", title: "Slow requests", format: percent },
  { name: "queue_time", title: "Time in the queue, p99", format: atLeast },
  { name: "duration", title: "Service time, p99", format: atLeast },
  { name: "queue", title: "Accept queue", format: whole },
  { name: "refused", title: "Refused after a long wait", format: perSecond },
  { name: "busy", title: "Busy threads", format: whole },
];

function element(name, attributes, parent, namespace) {
  const made = namespace ? document.createElementNS(namespace, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent.appendChild(made);
}

// Return the elements of a chart; make them at the first call.
function parts(chart, parent) {
  const id = `chart-${chart.name}`;
  if (!document.getElementById(id)) {
    const figure = element("figure", { id }, parent);
    element("h3", { id: `${id}-title` }, figure).textContent = chart.title;
    element("p", { id: `${id}-summary` }, figure);
    const svg = element("svg", {
      role: "img",
      "aria-labelledby": `${id}-title ${id}-summary`,
      viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`,
      preserveAspectRatio: "none",
    }, figure, SVG);
    element("path", { class: "axis", d: `M0 ${HEIGHT}H${WIDTH}` }, svg, SVG);
    element("path", { class: "line" }, svg, SVG);
    element("p", { class: "ends", "aria-hidden": "true" }, figure).append(
      Object.assign(document.createElement("span"), { textContent: "15 min ago" }),
      Object.assign(document.createElement("span"), { textContent: "now" }),
    );
  }
  return [document.querySelector(`#${id} .line`), document.getElementById(`${id}-summary`)];
}

// Return the line through values that are `ages` seconds old. The scale begins at 0 and ends at `most`.
export function line(ages, values, most) {
  let last = null;
  return values.map((value, index) => {
    if (value === null) return "";
    const isJoined = last !== null && last - ages[index] <= GAP_SECONDS;
    last = ages[index];
    const x = (1 - last / SECONDS) * WIDTH;
    const y = HEIGHT * (1 - (most > 0 ? value / most : 0));
    return `${isJoined ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}${isJoined ? "" : "h1"}`;
  }).join("");
}

export function draw(recent, threads, parent, say) {
  for (const chart of CHARTS) {
    const [path, summary] = parts(chart, parent);
    const values = recent[chart.name];
    const known = values.filter((value) => value !== null);
    const top = Math.max(...known);
    const of = chart.name === "busy" && threads > 0 ? ` of ${whole(threads)}` : "";
    say(summary, known.length
      ? `Last ${chart.format(values.at(-1) ?? NaN)}${of}, highest ${chart.format(top)}`
      : "Not measured in this time");
    path.setAttribute("d", line(recent.age_seconds, values, of ? Math.max(top, threads) : top));
  }
}

// Return a row for each minute, the latest first: its name, and the highest value of each chart.
export function minutes(recent) {
  const rows = new Map();
  recent.age_seconds.forEach((age, index) => {
    const minute = Math.floor(age / 60);
    rows.set(minute, [...(rows.get(minute) ?? []), index]);
  });
  return [...rows].reverse().map(([minute, indexes]) => [
    minute ? `${minute} min ago` : "last minute",
    ...CHARTS.map(({ name, format }) => {
      const known = indexes.map((index) => recent[name][index]).filter((value) => value !== null);
      return known.length ? format(Math.max(...known)) : DASH;
    }),
  ]);
}
