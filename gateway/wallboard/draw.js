// All drawings, as SVG. Every size is an attribute; every colour a class.

export * from "./course.js";
export * from "./gauges.js";
export * from "./shapes.js";
export * from "./tide.js";
