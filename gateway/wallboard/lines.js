// What drawings of lines share: paths, steps of a scale, stretches of what is known.

export const line = (points) => points.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
export const back = (points) => line([...points].reverse()).replace("M", "L");
export const STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000, 10000, 20000, 50000, 100000];

/** Unbroken stretches of what is known. */
export function runs(data, known) {
  const out = [];
  let run = null;
  data.forEach((p, i) => {
    if (!known(p)) run = null;
    else if (run) run.push(i);
    else out.push((run = [i]));
  });
  return out.filter((r) => r.length > 1);
}
