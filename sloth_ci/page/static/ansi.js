"use strict";
// Colours of build output, as page/ansi.py reads them: SGR sequences, and nothing else a terminal obeys.
const Ansi = (() => {
  // eslint-disable-next-line no-control-regex
  const SEQUENCE = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
  const MOST_CODES = 32, MOST_DIGITS = 4, MOST_PIECES = 500, NO_CODE = 9999;
  const STYLES = { 1: "b", 2: "d", 3: "i", 4: "u", 7: "r", 9: "s" };
  const ENDS = { 22: ["b", "d"], 23: ["i"], 24: ["u"], 27: ["r"], 29: ["s"] };
  const SIXTEEN = [
    [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
    [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
  ];
  const CUBE = [0, 95, 135, 175, 215, 255];

  function nearest(colour) {
    let best = 0, least = Infinity;
    SIXTEEN.forEach((known, index) => {
      const distance = known.reduce((sum, one, part) => sum + (one - colour[part]) ** 2, 0);
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }

  const readCodes = (text) => text.split(/[;:]/, MOST_CODES).map((code) => code.length <= MOST_DIGITS ? Number(code) : NO_CODE);

  function readColour(codes) {
    if (codes[0] === 2 && codes.length > 3) return nearest(codes.slice(1, 4));
    if (codes[0] !== 5 || codes.length < 2) return null;
    let number = codes[1];
    if (number < 16) return number;
    if (number > 255) return null;
    if (number > 231) return nearest(Array(3).fill(8 + 10 * (number - 232)));
    number -= 16;
    return nearest([CUBE[Math.floor(number / 36)], CUBE[Math.floor(number / 6) % 6], CUBE[number % 6]]);
  }

  function obey(pen, codes) {
    while (codes.length) {
      const code = codes.shift();
      if (code === 0) { pen.styles.clear(); pen.ink = pen.ground = null; }
      else if (code in STYLES) pen.styles.add(STYLES[code]);
      else if (code in ENDS) ENDS[code].forEach((style) => pen.styles.delete(style));
      else if (code === 38 || code === 48) {
        pen[code === 38 ? "ink" : "ground"] = readColour(codes);
        codes.splice(0, codes[0] === 2 ? 4 : 2);
      }
      else if (code === 39) pen.ink = null;
      else if (code === 49) pen.ground = null;
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) pen.ink = code < 40 ? code - 30 : code - 82;
      else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) pen.ground = code < 50 ? code - 40 : code - 92;
    }
  }

  const classes = (pen) => [
    ...[...pen.styles].sort().map((style) => `a-${style}`),
    ...(pen.ink === null ? [] : [`f-${pen.ink}`]),
    ...(pen.ground === null ? [] : [`g-${pen.ground}`]),
  ].join(" ");

  /** The line's pieces: [classes, text] each. */
  function spans(line) {
    line = line.replace(/\r+$/, "");
    line = line.slice(line.lastIndexOf("\r") + 1);
    const pen = { styles: new Set(), ink: null, ground: null };
    const pieces = [];
    let end = 0;
    for (const found of line.matchAll(SEQUENCE)) {
      pieces.push([classes(pen), line.slice(end, found.index)]);
      end = found.index + found[0].length;
      if (pieces.length >= MOST_PIECES) {
        line = line.slice(end).replace(SEQUENCE, "");
        end = 0;
        break;
      }
      if (found[1] !== undefined) obey(pen, readCodes(found[1]));
    }
    pieces.push([classes(pen), line.slice(end)]);
    return pieces.filter(([, text]) => text);
  }

  const plain = (line) => spans(line).map(([, text]) => text).join("");
  return { spans, plain };
})();
