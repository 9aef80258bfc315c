// Verifies receipts of the public ledger with WebCrypto: https://c2sp.org/tlog-proof and docs/ledger.md.
// Without this file, or without JavaScript, the links download the receipts.
(() => {
  "use strict";
  const words = document.getElementById("verify-words");
  const dossier = document.getElementById("dossier");
  if (!words || !dossier) return;

  class Verdict extends Error {
    constructor(word, reason) { super(reason); Object.assign(this, { word, reason }); }
  }
  const wrong = (reason) => new Verdict("not-verified", reason);
  const unknown = (reason) => new Verdict("could-not", reason);
  const must = (condition, reason) => { if (!condition) throw wrong(reason); };

  const utf8 = new TextEncoder();
  const say = (key, facts = {}) => Object.entries(facts).reduce(
    (text, [name, value]) => text.replace(`{${name}}`, value), words.content.querySelector(`[data-word="${key}"]`).textContent);
  const bytes = (...parts) => {
    const all = parts.flatMap((part) => [...(typeof part === "string" ? utf8.encode(part) : part)]);
    return Uint8Array.from(all);
  };
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(...parts)));
  const hex = (value) => [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

  // Each reads only what the ledger writes.
  function base64(text, length) {
    let binary;
    try { binary = atob(text); } catch { throw wrong("form"); }
    must(text !== "" && btoa(binary) === text && (length === undefined || binary.length === length), "form");
    return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  }
  function decimal(text) {
    must(/^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text)), "form");
    return Number(text);
  }
  const canonical = (value) => Array.isArray(value) ? `[${value.map(canonical)}]`
    : value !== null && typeof value === "object"
      ? `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`
      : JSON.stringify(value);
  function entryOf(content) {
    let text, entry;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
      entry = JSON.parse(text);
    } catch { throw wrong("form"); }
    must(canonical(entry) === text, "form");
    must(Object.keys(entry).join() === "code,commitment,event,id,previous,revision,time,type", "form");
    return entry;
  }
  function split(text, header) {
    const blank = text.indexOf("\n\n");
    must(blank > 0, "form");
    const lines = text.slice(0, blank).split("\n");
    must(lines.shift() === header, "form");
    return [lines, text.slice(blank + 2)];
  }
  const take = (lines, word) => {
    const found = [];
    while (lines.length && lines[0].startsWith(word)) found.push(lines.shift().slice(word.length));
    return found;
  };

  async function checkpointOf(note, vkey) {
    const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey) ?? [];
    if (!name) throw unknown("unreachable");
    const key = base64(encoded, 33);
    must(key[0] === 1 && hex((await sha256(name, "\n", key)).slice(0, 4)) === id, "signature");
    const end = note.lastIndexOf("\n\n");
    must(end > 0 && note.endsWith("\n"), "form");
    const text = note.slice(0, end + 1);
    const lines = note.slice(end + 2, -1).split("\n").map((line) => /^\u2014 ([^ +]+) ([^ ]+)$/.exec(line));
    must(lines.every(Boolean), "form");
    const mine = lines.map(([, signer, value]) => [signer, base64(value)])
      .filter(([signer, value]) => signer === name && hex(value.slice(0, 4)) === id);
    must(mine.length > 0, "signature");
    let imported;
    try {
      imported = await crypto.subtle.importKey("raw", key.slice(1), "Ed25519", false, ["verify"]);
    } catch { throw unknown("browser"); }
    for (const [, value] of mine) {
      must(await crypto.subtle.verify("Ed25519", imported, value.slice(4), utf8.encode(text)), "signature");
    }
    const [origin, size, root, heads, ...more] = text.slice(0, -1).split("\n");
    must(origin === name && heads?.startsWith("heads ") && more.length === 0, "form");
    return { origin, size: decimal(size), root: base64(root, 32), heads: base64(heads.slice(6), 32) };
  }

  // RFC 9162, section 2.1.3.2.
  async function included(leaf, index, size, proof, root) {
    must(index < size, "inclusion");
    let position = BigInt(index), last = BigInt(size - 1), found = leaf;
    for (const sibling of proof) {
      must(last > 0n, "inclusion");
      if (position & 1n || position === last) {
        found = await sha256([1], sibling, found);
        while (!(position & 1n) && position) { position >>= 1n; last >>= 1n; }
      } else {
        found = await sha256([1], found, sibling);
      }
      position >>= 1n;
      last >>= 1n;
    }
    must(last === 0n && same(found, root), "inclusion");
  }

  async function event(text, vkey, link) {
    const [lines, note] = split(text, "c2sp.org/tlog-proof@v1");
    must(lines.length >= 2 && lines[0].startsWith("extra ") && lines[1].startsWith("index "), "form");
    const content = base64(lines[0].slice(6)), index = decimal(lines[1].slice(6));
    const proof = lines.slice(2).map((line) => base64(line, 32));
    const checkpoint = await checkpointOf(note, vkey);
    await included(await sha256([0], content), index, checkpoint.size, proof, checkpoint.root);
    const entry = entryOf(content);
    const { code, revision, kind, at } = link.dataset;
    const type = entry.type.split(".").pop().replace(/\B[A-Z]/g, "-$&").toLowerCase();
    must(entry.code === code && entry.revision === Number(revision), "other");
    must(type === kind || type.endsWith(`-${kind}`), "other");
    must(Date.parse(entry.event.at) === Date.parse(at), "other");
    return say("verified-event", { index, origin: checkpoint.origin, size: checkpoint.size });
  }

  // The map of heads: gateway/ledger/format/heads.py.
  async function whole(text, vkey, link) {
    const [lines, note] = split(text, "motcua.dossier-receipt/v1");
    const { code, events } = link.dataset;
    must(lines.shift() === `code ${code}`, "other");
    const contents = take(lines, "event ").map((line) => base64(line));
    const siblings = take(lines, "head ").map((line) => base64(line, 32));
    must(lines.length === 0 && contents.length > 0 && siblings.length <= 256, "form");
    const checkpoint = await checkpointOf(note, vkey);
    let previous = "";
    for (const [revision, content] of contents.entries()) {
      const entry = entryOf(content);
      must(entry.code === code && entry.revision === revision && entry.previous === previous, "chain");
      previous = hex(await sha256([0], content));
    }
    must(siblings.length === 0 || siblings[0].some(Boolean), "chain");
    const place = await sha256(code);
    const count = new DataView(new ArrayBuffer(8));
    count.setBigUint64(0, BigInt(contents.length));
    let found = await sha256([2], place, new Uint8Array(count.buffer), await sha256([0], contents.at(-1)));
    for (const [number, sibling] of siblings.entries()) {
      const bit = siblings.length - 1 - number;
      const right = place[bit >> 3] >> (7 - (bit & 7)) & 1;
      found = right ? await sha256([3], sibling, found) : await sha256([3], found, sibling);
    }
    must(same(found, checkpoint.heads), "chain");
    must(contents.length >= Number(events), "fewer");
    return say("verified-dossier", { events: contents.length, origin: checkpoint.origin, size: checkpoint.size });
  }

  async function got(address) {
    let answer;
    try { answer = await fetch(address, { cache: "no-cache" }); } catch { throw unknown("unreachable"); }
    if (answer.status === 503) throw unknown("soon");
    if (answer.status === 404) throw unknown("absent");
    if (!answer.ok) throw unknown("unreachable");
    let content;
    try { content = await answer.arrayBuffer(); } catch { throw unknown("unreachable"); }
    try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content); } catch { throw wrong("form"); }
  }

  async function judge(link) {
    if (!globalThis.crypto?.subtle) throw unknown("browser");
    const [receipt, vkey] = await Promise.all([got(link.href), got(dossier.dataset.logKey)]);
    return (link.dataset.events === undefined ? event : whole)(receipt, vkey.trim(), link);
  }

  function show(box, link, word, text) {
    box.className = `verdict ${word}`;
    const line = document.createElement("strong");
    line.textContent = say(word);
    box.replaceChildren(line, ` ${text}`);
    if (word === "checking") return;
    const more = document.createElement("span");
    more.className = "more";
    const download = document.createElement("a");
    Object.assign(download, { href: link.href, textContent: say("download"), download: "" });
    more.append(say(`then-${word}`), " ", download);
    box.append(more);
  }

  dossier.addEventListener("click", async (click) => {
    const link = click.target.closest("a[data-verify]");
    if (!link || click.ctrlKey || click.metaKey || click.shiftKey || click.altKey) return;
    click.preventDefault();
    const after = link.closest("p");
    let box = after.nextElementSibling;
    if (!box?.classList.contains("verdict")) {
      box = document.createElement("p");
      box.setAttribute("role", "status");
      after.after(box);
    }
    show(box, link, "checking", "");
    try {
      show(box, link, "verified", await judge(link));
    } catch (verdict) {
      const { word, reason } = verdict instanceof Verdict ? verdict : unknown("browser");
      show(box, link, word, say(`reason-${reason}`));
    }
  });
})();
