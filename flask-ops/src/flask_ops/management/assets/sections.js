// The sections of the page, filled from an answer of /status. Text is only inserted as text.

import { CHARTS, draw, minutes } from "./charts.js";
import { growth, isBeyond, quantile, total } from "./figures.js";
import { DASH, clock, duration, rate, span, whole } from "./formats.js";

const QUANTILES = [0.5, 0.95, 0.99];
const STATES = {
  ok: ["Ready", "It accepts requests."],
  degraded: ["Degraded", "It accepts requests, but a non-critical check fails."],
  starting: ["Starting", "It is not ready yet."],
  down: ["Down", "It is not ready: a critical check fails."],
  draining: ["Draining", "It asks clients to leave, and still answers them."],
};

const at = (id) => document.getElementById(id);

// Leave unchanged text alone: screen readers announce changes, and a selection would be lost.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach(({ cells, state, firstNumber, lastNumber = cells.length - 1 }, index) => {
    const row = body.rows[index] ?? body.insertRow();
    if (state && row.dataset.state !== state) row.dataset.state = state;
    cells.forEach((text, column) => {
      let cell = row.cells[column];
      if (!cell) {
        cell = row.appendChild(document.createElement(column ? "td" : "th"));
        if (!column) cell.scope = "row";
        if (column >= firstNumber && column <= lastNumber) cell.className = "number";
      }
      say(cell, text);
    });
  });
}

// Each section takes the answer and the history of answers, which includes this one.
export const SECTIONS = {
  service({ service }) {
    say(at("name"), service.name);
    say(at("facts"), `${service.version} \u00b7 ${service.mode} \u00b7 ${service.server}` +
      (service.uptime_seconds === null ? "" : ` \u00b7 up for ${span(service.uptime_seconds)}`));
  },

  state({ readiness, service }) {
    const [word, meaning] = STATES[readiness.status] ?? [readiness.status, ""];
    at("state").dataset.state = readiness.status;
    say(at("state-word"), word);
    say(at("state-meaning"), readiness.reason ? `It cannot answer: ${readiness.reason}.` : meaning);
    document.title = `${word} \u00b7 ${service.name}`;
  },

  checks({ readiness }) {
    const checks = Object.entries(readiness.checks ?? {});
    at("no-checks").hidden = checks.length > 0;
    at("checks-table").hidden = checks.length === 0;
    fill(at("checks"), checks.map(([name, check]) => ({
      state: check.status === "down" && !check.critical ? "degraded" : check.status,
      firstNumber: 3,
      lastNumber: 4,
      cells: [
        name,
        check.status,
        check.critical ? "yes" : "no",
        duration((check.duration_ms ?? NaN) / 1000),
        span(check.age_seconds ?? NaN),
        check.reason ? `${check.reason}, ${check.failures} in a row` : DASH,
      ],
    })));
  },

  charts({ recent, workers }) {
    at("no-points").hidden = recent.age_seconds.length > 0;
    at("recent").hidden = recent.age_seconds.length === 0;
    if (at("recent").hidden) return;
    draw(recent, workers.threads, at("charts"), say);
    const head = at("minutes-head");
    for (const { title } of CHARTS.slice(head.cells.length - 1)) {
      head.append(Object.assign(document.createElement("th"), { scope: "col", className: "number", textContent: title }));
    }
    fill(at("minutes"), minutes(recent).map((cells) => ({ cells, firstNumber: 1 })));
  },

  workers({ workers }) {
    const { alive, threads, in_flight: busy, stuck } = workers;
    say(at("alive"), alive === 0 && threads > 0 ? "one process serves" : whole(alive));
    say(at("threads"), threads === null ? DASH : `${whole(busy)} of ${whole(threads)}`);
    const meter = at("threads-meter");
    meter.hidden = !(threads > 0);
    if (threads > 0) Object.assign(meter, { max: threads, value: busy ?? 0 });
    say(at("stuck"), whole(stuck));
    at("stuck").dataset.state = stuck > 0 ? "down" : "ok";
    say(at("timed-out"), whole(workers.timed_out));
    say(at("reload-failures"), whole(workers.reload_failures));
    say(at("queue"), workers.queue.limit === null ? DASH : `${whole(workers.queue.length)} of ${whole(workers.queue.limit)}`);
    say(at("exits"), byReason(workers.exits));
  },

  requests({ routes, rejected, refused }, history) {
    const recent = growth(history);
    say(at("window"), recent
      ? `Rates and service times cover the last ${Math.round(recent.seconds)} seconds. Service times are without the time in the queue.`
      : "Rates and service times come with the next answer.");
    const row = (name, grown, requests, errors) => ({
      state: grown?.errors > 0 ? "down" : grown?.requests > 0 ? "ok" : "idle",
      firstNumber: 1,
      cells: [
        name,
        rate(grown ? grown.requests / recent.seconds : NaN),
        rate(grown ? grown.errors / recent.seconds : NaN),
        ...QUANTILES.map((q) => latency(q, grown?.buckets ?? [])),
        whole(requests),
        whole(errors),
      ],
    });
    say(at("rejected"), byReason(rejected));
    say(at("refused"), byReason(refused));
    const now = history.at(-1).routes;
    const names = Object.keys(routes).sort();
    const sum = (field) => names.reduce((found, name) => found + now[name][field], 0);
    fill(at("routes"), [
      row("All routes", recent && total(recent.routes.values()), sum("requests"), sum("errors")),
      ...names.map((name) => row(name, recent?.routes.get(name), now[name].requests, now[name].errors)),
    ]);
  },

  log({ log }) {
    say(at("level"), log.level);
    const changed = Object.entries(log.overridden).map(([name, { level, until }]) =>
      `${name} ${level}` + (until ? ` until ${clock(new Date(until))}` : ""));
    say(at("overridden"), changed.join(", ") || "none");
    say(at("lost"), whole(log.lines_dropped));
    at("lost").dataset.state = log.lines_dropped > 0 ? "down" : "ok";
  },
};

// If a server never counts by reason, the counts are unknown, not none.
function byReason(counts) {
  const all = Object.entries(counts);
  const some = all.filter(([, count]) => count > 0).map(([reason, count]) => `${reason} ${whole(count)}`);
  return all.length ? some.join(", ") || "none" : DASH;
}

function latency(q, buckets) {
  const seconds = quantile(q, buckets);
  return (isBeyond(q, buckets) ? "> " : "") + duration(seconds);
}
