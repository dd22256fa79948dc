// What pages do beyond showing: follow runs, sort tables, look closer at charts.
// Without this script every chart and number is there all the same. Its parts lie in templates/js and
// are served as one; each takes from `overnight` what the parts before it put there.
"use strict";
window.overnight = window.overnight || {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /// An element with attributes and children; the document is the live one unless `root` is of another.
  const make = (name, attributes = {}, ...children) => {
    const element = ["svg", "g", "path", "line", "circle", "text", "rect", "title", "desc"].includes(name)
      ? document.createElementNS(SVG, name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };

  /// At most once a frame, with the last arguments.
  const framed = (act) => {
    let waiting = null;
    return (...words) => {
      const asked = waiting;
      waiting = words;
      if (asked) return;
      requestAnimationFrame(() => {
        const last = waiting;
        waiting = null;
        act(...last);
      });
    };
  };

  /// When the browser has nothing more urgent to do: long work is done in parts, so that a page answers.
  const pause = () => new Promise((then) => (window.requestIdleCallback ? requestIdleCallback(then, { timeout: 200 }) : setTimeout(then)));

  /// What a text says as JSON; null where it says nothing that can be read.
  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  };

  /// What the browser keeps under a name, null where that is nothing; undefined where it may not be asked.
  const kept = (name) => {
    try {
      return parsed(localStorage.getItem(name));
    } catch {
      return undefined;
    }
  };
  /// Keeps it, unless the browser may not or has no room.
  const keep = (name, value) => {
    try {
      localStorage.setItem(name, JSON.stringify(value));
    } catch {
      // It lives as long as the page.
    }
  };

  // Scripts that only some pages have come after the one of all pages; they name here what they add to a
  // page: as the first, because charts are made there, after the others, or when what lies beside has come.
  const preparers = { first: [], last: [], aside: [] };
  const onPage = (prepare, when = "last") => preparers[when].push(prepare);

  /// A file that was sent stands alone: nothing beside it may be asked for, wherever it lies.
  const isSent = document.documentElement.dataset.sent !== undefined;

  Object.assign(overnight, { make, framed, pause, parsed, kept, keep, preparers, onPage, isSent });
})();
