"use strict";
// Fetches the page again and changes only what differs: focus, selection, scroll position and what
// the reader has opened stay. Without this script the whole page reloads.
{
  const seconds = Number(document.body.dataset.refresh);
  let known = new Date();
  let running = false;

  function fetchPage() {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("GET", location.href);
      request.responseType = "document";
      request.timeout = seconds * 1000;
      request.onload = () => (request.status === 200 && request.response ? resolve(request.response) : reject());
      request.onerror = request.ontimeout = reject;
      request.send();
    });
  }

  function update(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
      return;
    }
    updateAttributes(old, fresh);
    const ids = new Set([...fresh.children].map((child) => child.id));
    for (const child of [...old.children]) if (child.id && !ids.has(child.id)) child.remove();
    let at = old.firstChild;
    for (const child of fresh.childNodes) {
      const same = child.id ? [...old.children].find((one) => one.id === child.id) : at;
      if (!same || same.nodeName !== child.nodeName || (same.id ?? "") !== (child.id ?? "")) {
        old.insertBefore(document.importNode(child, true), at);
        continue;
      }
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      update(same, child);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function updateAttributes(old, fresh) {
    const isReaders = (name) => name === "open" && old.nodeName === "DETAILS";
    for (const { name } of [...old.attributes])
      if (!fresh.hasAttribute(name) && !isReaders(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value && !isReaders(name)) old.setAttribute(name, value);
  }

  async function refresh() {
    if (document.hidden || running) return;
    running = true;
    try {
      const fresh = await fetchPage();
      // Another version of the exporter: its page needs its own style and script.
      const isSame = (part) => document.querySelector(part).isEqualNode(fresh.querySelector(part));
      if (!isSame("style") || !isSame("script")) location.reload();
      known = new Date();
      document.title = fresh.title;
      update(document.body, fresh.body);
    } catch {
      const notice = document.getElementById("no-answer");
      const since = known.toLocaleTimeString();
      const words = `No answer from the exporter since ${since}. What you see may be old.`;
      if (notice.textContent !== words) notice.textContent = words;
      notice.hidden = false;
    } finally {
      running = false;
    }
  }

  setInterval(refresh, seconds * 1000);
  document.addEventListener("visibilitychange", refresh);
}
