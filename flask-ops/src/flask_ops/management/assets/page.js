// The page: requests /status every two seconds, and shows the answer or the time since the last one.

import { remember } from "./figures.js";
import { clock } from "./formats.js";
import { SECTIONS, say } from "./sections.js";

const PAUSE_MS = 2000;
const TIMEOUT_MS = 5000;

let history = [];
let lastAnswer = new Date();

const at = (id) => document.getElementById(id);

function notice(id, text) {
  say(at(id), text);
  at(id).hidden = !text;
}

async function ask() {
  // Not relative to the address of the page: fetch() refuses one with user and password.
  const url = new URL("status", location.origin + location.pathname);
  const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

function why(error) {
  if (error.name === "TimeoutError") return `timed out after ${TIMEOUT_MS / 1000} seconds`;
  return error instanceof TypeError ? "no connection" : error.message;
}

async function refresh() {
  let status;
  try {
    status = await ask();
  } catch (error) {
    const shown = at("figures").hidden ? "" : " The page shows the state at that time.";
    notice("connection", `No answer since ${clock(lastAnswer)} (${why(error)}).${shown} The page keeps trying.`);
    at("figures").classList.add("stale");
    document.title = document.title.replace(/^.*\u00b7/, "No answer \u00b7");
    return;
  }
  lastAnswer = new Date();
  history = remember(history, status, performance.now());
  at("figures").hidden = false;
  at("figures").classList.remove("stale");
  notice("connection", "");
  notice("faults", show(status));
}

// Return a notice about sections that failed: a fault in one section must not affect the others.
function show(status) {
  const faults = [];
  for (const [name, section] of Object.entries(SECTIONS)) {
    try {
      section(status, history);
    } catch (error) {
      console.error(error);
      faults.push(name);
    }
  }
  return faults.length ? `This page has a fault. It does not update: ${faults.join(", ")}.` : "";
}

for (;;) {
  try {
    await refresh();
  } catch (error) {
    console.error(error);
  }
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
