// How a number, an instant and a span are written (BOARD §9). Nothing is ever rounded in somebody's favour; unknown is a dash.

export const NONE = "—";
const known = (x) => x !== null && x !== undefined && !Number.isNaN(x);
const two = (n) => String(n).padStart(2, "0");

/** 12,480; a minus sign that is one. On a TV from 100,000 on shortened, never up. */
export function count(n, zh, short) {
  if (!known(n)) return NONE;
  if (short && Math.abs(n) >= 1e5) return zh ? cut(n / 1e4) + "万" : grouped(n / 1e3) + "k";
  return (n < 0 ? "−" : "") + grouped(Math.abs(n));
}
const grouped = (n) => String(Math.trunc(n)).replace(/\B(?=(\d{3})+$)/g, ",");
const cut = (x) => (Math.trunc(x * 10) / 10).toFixed(1);

/** A rate or another figure that may have a fraction: one digit of it under 10. */
export const rate = (x) =>
  !known(x) ? NONE : Number.isInteger(x) || Math.abs(x) >= 10 ? count(Math.round(x)) : x.toFixed(1).replace("-", "−");

/** [[number, unit], …], at most two units, cut off. */
export function parts(ms, zh) {
  if (!known(ms)) return null;
  const all = Math.floor(Math.max(0, ms) / 1000),
    m = Math.floor(all / 60),
    hours = Math.floor(m / 60),
    d = Math.floor(hours / 24);
  const u = zh ? { s: "秒", m: "分", h: "小时", d: "天" } : { s: "s", m: "m", h: "h", d: "d" };
  if (all < 60) return [[all, u.s]];
  if (m < 60)
    return [
      [m, u.m],
      [two(all % 60), u.s],
    ];
  if (hours < 24)
    return [
      [hours, u.h],
      [two(m % 60), u.m],
    ];
  return [
    [d, u.d],
    [hours % 24, u.h],
  ];
}

/** 1分20秒, 1m 20s. */
export function span(ms, zh) {
  const p = parts(ms, zh);
  return p ? p.map(([n, unit]) => n + unit).join(zh ? "" : " ") : NONE;
}

/** A target or a limit as it was set: 60 秒, 10 分; 60s, 10m. */
export function round(ms, zh) {
  if (!known(ms)) return NONE;
  const sec = ms / 1000,
    [n, unit] =
      Number.isInteger(sec) && sec < 120
        ? [sec, zh ? "秒" : "s"]
        : sec % 3600 === 0
          ? [sec / 3600, zh ? "小时" : "h"]
          : sec % 60 === 0
            ? [sec / 60, zh ? "分" : "m"]
            : [null];
  return n === null ? span(ms, zh) : zh ? `${n} ${unit}` : n + unit;
}

/** A span that is only about right: whole minutes from two on, cut off. */
export const about = (ms, zh) =>
  !known(ms)
    ? NONE
    : ms >= 72e5
      ? span(ms, zh)
      : ms >= 12e4
        ? zh
          ? `${Math.floor(ms / 6e4)} 分钟`
          : `${Math.floor(ms / 6e4)} min`
        : span(ms, zh);

/** 66.2%; 100% and 0% only if exact. */
export function percent(x, digits = 1) {
  if (!known(x)) return NONE;
  if (x < 1 && x > 0.9995) return ">99.9%";
  if (x > 0 && x < 0.0005) return "<0.1%";
  return (Math.floor(x * 100 * 10 ** digits + 1e-6) / 10 ** digits).toFixed(digits) + "%";
}

/** The same of a share: 80%, 72.5%. */
export const limit = (x) => (known(x) ? +(x * 100).toFixed(2) + "%" : NONE);

/** 平时的 3.1 倍, 3.1× usual; under 1.1 as usual. */
export function times(x, zh) {
  if (!known(x)) return NONE;
  if (x < 1.1) return zh ? "如常" : "as usual";
  return zh ? `平时的 ${x.toFixed(1)} 倍` : `${x.toFixed(1)}× usual`;
}

export const signed = (x) =>
  known(x) ? (x < 0 ? "−" : "+") + (Number.isInteger(x) ? count(Math.abs(x)) : Math.abs(x).toFixed(1)) : NONE;

/** −1.00 … +1.00, sign always. */
export const mood = (x) => (known(x) ? (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2) : NONE);

const made = new Map();
function format(zone, options, name) {
  const id = zone + name;
  if (!made.has(id)) {
    const all = { timeZone: zone, hourCycle: "h23", ...options };
    try {
      made.set(id, new Intl.DateTimeFormat("en-GB", all));
    } catch {
      made.set(id, new Intl.DateTimeFormat("en-GB", { ...all, timeZone: "UTC" }));
    }
  }
  return made.get(id);
}
const day = (ms, zone) => format(zone, { year: "numeric", month: "numeric", day: "numeric" }, "day").format(ms);
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** 09:53 in the tenant's zone; with a date once it is not today. */
export function clock(ms, zone, { zh, seconds = false, today = null } = {}) {
  if (!known(ms)) return NONE;
  const time = format(
    zone,
    { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) },
    "clock" + seconds,
  ).format(ms);
  if (today === null || day(ms, zone) === day(today, zone)) return time;
  const of = (at) =>
    Object.fromEntries(
      format(zone, { year: "numeric", month: "numeric", day: "numeric" }, "date")
        .formatToParts(at)
        .map((x) => [x.type, x.value]),
    );
  const p = of(ms),
    other = p.year !== of(today).year;
  return (
    (zh
      ? `${other ? p.year + " 年 " : ""}${p.month} 月 ${p.day} 日 `
      : `${p.day} ${MONTHS[p.month - 1]} ${other ? p.year + " " : ""}`) + time
  );
}

/** A lag: tenths of a second under ten, whole ones above, cut off. */
export function lag(ms, zh) {
  if (!known(ms)) return NONE;
  const x = ms < 1e4 ? cut(ms / 1000) : String(Math.floor(ms / 1000));
  return zh ? `${x} 秒` : `${x} s`;
}

/** 20 Nov 2026, 2026 年 11 月 20 日: the day of an instant in a zone. */
export function date(ms, zone, zh) {
  const p = Object.fromEntries(
    format(zone, { year: "numeric", month: "numeric", day: "numeric" }, "date")
      .formatToParts(ms)
      .map((x) => [x.type, x.value]),
  );
  return zh ? `${p.year} 年 ${p.month} 月 ${p.day} 日` : `${p.day} ${MONTHS[p.month - 1]} ${p.year}`;
}

const WEEK = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** Weekday (0: Monday) and hour of an instant in a zone. */
export function weekday(ms, zone) {
  const p = Object.fromEntries(
    format(zone, { weekday: "short", hour: "2-digit" }, "week")
      .formatToParts(ms)
      .map((x) => [x.type, x.value]),
  );
  return { weekday: WEEK.indexOf(p.weekday), hour: Number(p.hour) };
}
