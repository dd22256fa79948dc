// Following files that grow or change, over any server of files: rows of a CSV by parts of it, a page
// by the version of its JSON twin. Knows nothing of charts; whoever calls decides what rows mean.
(() => {
  const NEWLINE = 10;
  const [FAST, SLOW] = [1000, 5000]; // ms between looks: at parts and versions, at whole files

  /// The version of a file, as headers that ask for another one. Servers that know seconds only may
  /// give one name to two versions of the same second, so such a young one is not trusted.
  const versionOf = (answer) => {
    const [tag, modified, date] = ["ETag", "Last-Modified", "Date"].map((name) => answer.headers.get(name));
    if (modified && !(Date.parse(date) - Date.parse(modified) >= 2000)) return {};
    return { ...(tag && { "If-None-Match": tag }), ...(modified && { "If-Modified-Since": modified }) };
  };

  /// One look at a time; asked for meanwhile, another one follows.
  const oneByOne = (look) => {
    let running = null;
    let again = false;
    const turns = async () => {
      do {
        again = false;
        await look();
      } while (again);
    };
    return () => {
      if (running) again = true;
      else running = turns().finally(() => (running = null));
      return running;
    };
  };

  const isAt = (part, bytes, at) => bytes.length >= at + part.length && part.every((byte, place) => byte === bytes[at + place]);

  /// Follows the CSV at `url`. `held` is the last row that the caller has: the byte at which it begins,
  /// and its text with its newline; without it the header comes first. New rows are given to
  /// `onRows(lines, isFresh)`; where `isFresh`, they are all there are, header first, and what was held
  /// is void. Returns `look`, to be called when there may be more, and `pause`, how long to wait
  /// otherwise. Errors of the connection are the caller's.
  const followRows = (url, held, onRows) => {
    let at = held ? held.at : 0;
    let row = new TextEncoder().encode(held ? held.row : "");
    let version = {};
    let pause = FAST;

    /// The whole rows of `bytes` from `from` on; `start` is where in the file `bytes` begins.
    const take = (bytes, start, from, isFresh) => {
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      if (end <= from) return isFresh && onRows([], true);
      const begin = end < 2 ? 0 : bytes.lastIndexOf(NEWLINE, end - 2) + 1;
      [at, row] = [start + begin, bytes.slice(begin, end)];
      onRows(new TextDecoder().decode(bytes.subarray(from, end - 1)).split("\n"), isFresh);
    };

    const afresh = async () => {
      [at, row, version] = [0, new Uint8Array(), {}];
      const answer = await fetch(url, { cache: "no-store" });
      if (!answer.ok) return;
      const bytes = new Uint8Array(await answer.arrayBuffer());
      version = versionOf(answer);
      take(bytes, 0, 0, true);
    };

    const look = oneByOne(async () => {
      const begun = performance.now();
      const range = at > 0 ? { Range: `bytes=${at}-` } : {};
      const answer = await fetch(url, { headers: { ...range, ...version }, cache: "no-store" });
      if (answer.status === 304) return;
      // Shorter than what is held.
      if (answer.status === 416) return afresh();
      if (!answer.ok) return;
      const bytes = new Uint8Array(await answer.arrayBuffer());
      version = versionOf(answer);
      const place = /^bytes (\d+)-/.exec(answer.headers.get("Content-Range") || "");
      const start = answer.status === 206 && place ? Number(place[1]) : 0;
      // A server that gives no parts, or a proxy before it, is asked less often the more it sends.
      pause = answer.status === 206 || at === 0 ? FAST : Math.max(SLOW, 20 * (performance.now() - begun));
      if (row.length && at >= start && isAt(row, bytes, at - start)) return take(bytes, start, at - start + row.length, false);
      // Nothing was held, or a resumed run wrote other rows in their place.
      if (start === 0) return take(bytes, 0, 0, true);
      return afresh();
    });

    return { look, pause: () => pause };
  };

  /// Watches the file at `url` by its version, by its text where it has none, and calls `onChange`.
  const followFile = (url, onChange) => {
    let version = {};
    let text = null;
    let pause = FAST;
    let isCertain = true;
    const look = oneByOne(async () => {
      const begun = performance.now();
      const answer = await fetch(url, { headers: version, cache: "no-store" });
      if (answer.status === 304 || !answer.ok) {
        // Whoever copies a site may bring this file before the page, so the page is looked at twice.
        if (!isCertain) await onChange();
        isCertain = true;
        return;
      }
      const next = await answer.text();
      version = versionOf(answer);
      pause = answer.headers.has("ETag") ? FAST : Math.max(SLOW, 20 * (performance.now() - begun));
      const isChanged = next !== text;
      text = next;
      if (isChanged || !isCertain) await onChange();
      isCertain = !isChanged;
    });
    return { look, pause: () => pause };
  };

  /// Looks again and again until it is stopped; `onEnd` learns after each look whether it worked.
  const keepLooking = ({ look, pause }, onEnd) => {
    let timer = 0;
    let isStopped = false;
    let failures = 0;
    const turn = async () => {
      let worked = true;
      try {
        await look();
        failures = 0;
      } catch {
        worked = false;
        failures++;
      }
      if (isStopped) return;
      onEnd(worked);
      timer = setTimeout(turn, Math.min(30000, pause() * 2 ** Math.min(5, failures)));
    };
    turn();
    return () => {
      isStopped = true;
      clearTimeout(timer);
    };
  };

  Object.assign(overnight, { versionOf, followRows, followFile, keepLooking });
})();
