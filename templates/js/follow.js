
// Following: an event says "look now", the page itself is asked again. And the beginning of it all.
(() => {
  const { versionOf, followRows, followFile, keepLooking, addRows, forgetRows, grow } = overnight;
  const { preparers, patch, prepareTables, prepareFigures, prepareLegends, prepareTools, followNights, drawAll, showCursor, onView, view, figures, framed } = overnight;
  const { settleAll, bringAside, takeAside, refreshTools, make, isSent, prepareLog, prepareSamples, showSample, prepareCopies } = overnight;
  const main = () => document.getElementById("main");

  /// What the script adds to a page, to the one that is shown and to the next one alike.
  const prepare = (root) => {
    settleAll(root);
    for (const add of preparers.first) add(root);
    prepareTables(root);
    prepareTools(root);
    prepareFigures(root);
    grow(root);
    prepareLegends(root);
    drawAll(root);
    followNights(root);
    prepareLog(root);
    prepareSamples(root);
    prepareCopies(root);
    for (const add of preparers.last) add(root);
  };

  let original = null; // the page as the server last gave it, as text

  const parsed = (html) => new DOMParser().parseFromString(html, "text/html");
  const apply = (html, next = parsed(html)) => {
    const content = next.getElementById("main");
    if (!content) return;
    original = html;
    prepare(content);
    patch(main(), content);
    const [built, nextBuilt] = [document.getElementById("built"), next.getElementById("built")];
    if (built && nextBuilt) patch(built, nextBuilt);
    document.title = next.title;
    refreshTools();
    showCursor();
    showSample();
  };

  /// The page again from what the server last gave, where what the script adds has changed.
  const redraw = () => {
    apply(original);
    drawAll();
  };

  const connection = document.getElementById("connection");
  const say = (word, className) => {
    connection.textContent = word;
    connection.className = className;
  };

  const root = isSent ? "" : new URL(document.querySelector('link[rel="stylesheet"]').href).pathname.replace(/assets\/style\.css$/, "");
  const own = () => {
    let path = location.pathname.slice(root.length);
    try {
      path = decodeURIComponent(path);
    } catch {
      // A folder whose name is no text keeps its address.
    }
    return path === "" || path.endsWith("/") ? `${path}index.html` : path;
  };

  // The rows of the run that this page is about: they are drawn at once, the rest of the page can wait.
  const PAUSE = 1000; // ms between two looks at such a page
  let follower = null;
  const rows = () => {
    const held = document.getElementById("rows");
    if (!follower && held) follower = followRows("metrics.csv", { at: Number(held.dataset.at), row: held.dataset.row }, take);
    return follower;
  };
  const take = (lines, isFresh) => {
    if (!isFresh) return addRows(lines);
    forgetRows();
    return refresh();
  };

  /// What the server called the page that is shown, where it tells that and the browser passes it on.
  const given = () => {
    const told = performance.getEntriesByType?.("navigation")[0]?.serverTiming?.find(({ name }) => name === "version");
    return told ? { "If-None-Match": `"${told.description}"` } : {};
  };

  let version = given(); // of the page, as headers that ask for another one
  let asking = false;
  let again = false;
  const refresh = async () => {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    let [html, next] = [null, null];
    try {
      // The browser's own cache trusts servers that know seconds only; see `versionOf`.
      const answer = await fetch(location.pathname, { headers: version, cache: "no-store" });
      if (answer.ok) {
        html = await answer.text();
        version = versionOf(answer);
        next = parsed(html);
        await bringAside(next);
      }
    } catch {
      // The stream reconnects and asks again; whoever looks at files does so anyway.
    }
    try {
      if (next && html !== original) apply(html, next);
    } finally {
      if (follower) await new Promise((then) => setTimeout(then, PAUSE));
      asking = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const showProblem = (problem) => {
    const banner = document.getElementById("problem");
    banner.hidden = problem === null;
    banner.textContent = problem === null ? "" : `The report could not be built: ${problem}`;
  };

  // Where people may act, what they need comes as a script of its own.
  const learn = () => {
    if (overnight.control) return;
    overnight.control = {};
    document.head.append(make("script", { src: `${root}assets/control.js` }));
  };

  const hear = ({ type, data }) => {
    if (type === "open") {
      showProblem(null);
      // It may be another life of the server.
      overnight.control?.look?.();
      return say("live", "live");
    }
    if (type === "who") return;
    if (type === "lost") return say("not connected", "live lost");
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return refresh();
    }
    if (type === "problem") {
      return showProblem(message.problem);
    }
    if (message.control === true) learn();
    const isTold = (path) => message.missed || !message.paths || message.paths.includes(path);
    // A connection that is gone is the stream's to tell.
    if (isTold(own().replace(/index\.html$/, "metrics.csv"))) rows()?.look().catch(() => {});
    if (isTold(own())) refresh();
    overnight.compared?.told(isTold);
  };

  // One tab of a browser holds the stream and tells the others; a hidden page holds none.
  const byEvents = () => {
    const workspace = document.documentElement.dataset.workspace;
    const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(`overnight-${workspace}`) : null;
    let stream = null;
    let release = null;
    let problem = null; // what the stream last said of a failed build
    let control = null; // its word that people may act
    let later = 0; // the timer of another try
    const tell = (event) => {
      hear(event);
      if (channel) channel.postMessage(event);
    };
    const listen = () => {
      stream = new EventSource(`${root}events`);
      stream.onopen = () => {
        problem = null; // whatever stands is told anew
        tell({ type: "open" });
      };
      stream.onerror = (event) => {
        tell({ type: "lost" });
        // Refused for good, as browsers see it; a server too busy is not.
        if (event.target === stream && stream.readyState === EventSource.CLOSED) later = setTimeout(listen, 3000);
      };
      stream.onmessage = ({ data }) => {
        if (overnight.parsed(data)?.control) control = data;
        tell({ type: "message", data });
      };
      stream.addEventListener("problem", (event) => {
        problem = { type: "problem", data: event.data };
        tell(problem);
      });
    };
    const start = () => {
      if (stream || release) return;
      if (!channel || !navigator.locks) return listen();
      const given = new AbortController();
      release = () => given.abort();
      navigator.locks.request(`overnight-events-${workspace}`, { signal: given.signal }, () => new Promise((done) => {
        release = done;
        listen();
      })).catch(() => {});
      refresh();
      if (channel) channel.postMessage({ type: "who" });
    };
    const stop = () => {
      clearTimeout(later);
      if (stream) stream.close();
      stream = null;
      if (release) release();
      release = null;
    };
    if (channel) {
      channel.onmessage = ({ data }) => {
        if (data.type === "who" && stream && stream.readyState === EventSource.OPEN) {
          channel.postMessage({ type: "open" });
          if (problem) channel.postMessage(problem);
          if (control) channel.postMessage({ type: "message", data: '{"paths":[],"control":true}' });
        }
        if (!document.hidden) hear(data);
      };
    }
    return { start, stop };
  };

  // A server that only has files: the page's twin tells that the page changed, the CSV has new rows.
  const byFiles = () => {
    let stops = null;
    const onEnd = (worked) => (worked ? say("live", "live") : say("not connected", "live lost"));
    const start = () => {
      const growing = { look: async () => rows()?.look(), pause: () => rows()?.pause() ?? PAUSE };
      stops = stops || [followFile(`${own().match(/([^/]*)\.html$/)?.[1] ?? "index"}.json`, refresh), growing, overnight.compared].filter(Boolean).map((file) => keepLooking(file, onEnd));
    };
    const stop = () => {
      for (const end of stops || []) end();
      stops = null;
    };
    return { start, stop };
  };

  /// Asks the server once whether it tells of changes; one that cannot be reached is asked again.
  const follow = async () => {
    let answer = null;
    while (!answer) {
      try {
        answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
      } catch {
        say("not connected", "live lost");
        await new Promise((then) => setTimeout(then, 2000));
      }
    }
    const hasEvents = answer.headers.has("Overnight-Events") && typeof EventSource === "function";
    const { start, stop } = hasEvents ? byEvents() : byFiles();
    document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
    if (!document.hidden) start();
  };

  Object.assign(overnight, { root, redraw });
  // When the scripts of single pages are there too.
  document.addEventListener("DOMContentLoaded", () => {
    // The page as it came, before anything here changes it, where it may be made again from that.
    if (overnight.redraws) original = document.documentElement.outerHTML;
    prepare(main());
    takeAside(main());
    onView(() => drawAll());
    window.addEventListener("resize", framed(() => {
      if (figures().some(({ dataset }) => dataset.view !== undefined)) drawAll();
    }));
    if (!isSent && location.protocol.startsWith("http")) follow();
  });
})();
