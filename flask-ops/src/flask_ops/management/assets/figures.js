// Growth, rates and quantiles, computed from the answers of /status. Nothing here knows the page.

// Rates and quantiles cover the last ten seconds, so that one request does not come and go with each answer.
export const WINDOW_MS = 10_000;

// Return the history with one more answer, which came at `at` (ms of a monotonic clock). It begins with the answer
// that is a window old. After a restart of the service it begins again.
export function remember(history, status, at) {
  const routes = Object.fromEntries(Object.entries(status.routes).map(([name, route]) => [name, {
    requests: Object.values(route.requests).reduce((sum, count) => sum + count, 0),
    errors: route.errors,
    buckets: route.duration_seconds.buckets,
  }]));
  const next = { at, uptime: status.service.uptime_seconds, routes };
  const kept = history.length && isRestart(history.at(-1), next) ? [] : history;
  const all = [...kept, next];
  while (all.length > 2 && at - all[1].at >= WINDOW_MS) all.shift();
  return all;
}

// A counter that is smaller than before, or gone, means a restart.
function isRestart(before, after) {
  return after.uptime < before.uptime || Object.entries(before.routes).some(([name, route]) => {
    const now = after.routes[name];
    return !now || now.requests < route.requests || now.errors < route.errors ||
      Object.entries(route.buckets).some(([bound, count]) => !(now.buckets[bound] >= count));
  });
}

// Return the seconds that the history spans, and the growth of the counts of each route.
// Return null without two answers to compare.
export function growth(history) {
  if (history.length < 2) return null;
  const [first, last] = [history[0], history.at(-1)];
  const seconds = (last.at - first.at) / 1000;
  if (!(seconds > 0)) return null;
  const routes = Object.entries(last.routes).map(([name, route]) => {
    const before = first.routes[name] ?? { requests: 0, errors: 0, buckets: {} };
    const buckets = Object.entries(route.buckets).map(([le, count]) => [bound(le), count - (before.buckets[le] ?? 0)]);
    return [name, {
      requests: route.requests - before.requests,
      errors: route.errors - before.errors,
      buckets: buckets.sort(([a], [b]) => (a < b ? -1 : 1)),
    }];
  });
  return { seconds, routes: new Map(routes) };
}

// Return the sum over routes.
export function total(routes) {
  const sum = { requests: 0, errors: 0 };
  const buckets = new Map();
  for (const route of routes) {
    sum.requests += route.requests;
    sum.errors += route.errors;
    for (const [upper, count] of route.buckets) buckets.set(upper, (buckets.get(upper) ?? 0) + count);
  }
  return { ...sum, buckets: [...buckets].sort(([a], [b]) => (a < b ? -1 : 1)) };
}

// Return the quantile, 0 < q <= 1, of a histogram as pairs of upper bound and cumulative count, in order;
// NaN if nothing was counted. Interpolate within a bucket like Prometheus's histogram_quantile:
// a value above the last finite bound is returned as that bound.
export function quantile(q, buckets) {
  const count = buckets.at(-1)?.[1];
  if (!count) return NaN;
  const rank = q * count;
  const index = buckets.findIndex(([, cumulative]) => cumulative >= rank);
  const [upper, cumulative] = buckets[index];
  const [lower, below] = index ? buckets[index - 1] : [0, 0];
  if (upper === Infinity) return lower;
  return lower + (upper - lower) * ((rank - below) / (cumulative - below));
}

// Tell whether the quantile lies somewhere above the last finite bound.
export function isBeyond(q, buckets) {
  return buckets.length > 1 && q * buckets.at(-1)[1] > buckets.at(-2)[1];
}

function bound(le) {
  return le === "+Inf" ? Infinity : Number(le);
}
