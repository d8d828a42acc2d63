// Numbers for people. An unknown value is a dash.

export const DASH = "\u2013";

const isKnown = (value) => Number.isFinite(value);

export function whole(value) {
  return isKnown(value) ? value.toLocaleString("en") : DASH;
}

// A rate: three significant digits, and at most two decimals.
export function rate(value) {
  if (!isKnown(value)) return DASH;
  const decimals = value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

// A share, as a percentage.
export function percent(share) {
  return isKnown(share) ? `${rate(share * 100)}%` : DASH;
}

// A duration of a request or a check.
export function duration(seconds) {
  if (!isKnown(seconds)) return DASH;
  const ms = seconds * 1000;
  if (ms >= 999.5) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return `${ms.toFixed(ms < 9.95 ? 1 : 0)} ms`;
}

// An elapsed time in its two largest units.
export function span(seconds) {
  if (!isKnown(seconds)) return DASH;
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.max(0, Math.floor(seconds));
  const units = parts.map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return [unit, count];
  });
  const first = units.findIndex(([, count]) => count > 0);
  if (first < 0) return "0 s";
  return units.slice(first, first + 2).filter(([, count]) => count > 0).map(([unit, count]) => `${count} ${unit}`).join(" ");
}

export function clock(date) {
  return date.toLocaleTimeString("en-GB");
}
