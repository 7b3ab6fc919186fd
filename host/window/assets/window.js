// Everything works without this script. With it, the parts of a page that are marked `data-live` follow what happens.
"use strict";

(() => {
  const base = document.body.dataset.base || "";
  let source = null;
  let isLoading = false;
  let isStale = false;
  let isPaused = false;

  // A person works in a part of the page that has the focus, or a text that they chose, such as to copy it.
  function isInUse(part) {
    const chosen = getSelection();
    if (chosen && !chosen.isCollapsed && chosen.containsNode(part, true)) return true;
    return part.contains(document.activeElement) && document.activeElement !== document.body;
  }

  // Asks for this page anew. A reload would send the form again of which the page is the answer, or ask whether to.
  function renew() {
    location.replace(location.pathname + location.search);
  }

  // Loads this page again, and takes its live parts. A part in which a person works is left alone. The header says that nobody
  // asked for it: a page that is only open keeps no session alive.
  async function refresh() {
    if (isPaused) return;
    if (isLoading) {
      isStale = true;
      return;
    }
    isLoading = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", headers: { accept: "text/html", "parlor-by-itself": "1" } });
      if (answer.redirected) {
        renew();
        return;
      }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const next = page.getElementById(part.id);
        if (next && !isPaused && !isInUse(part) && next.outerHTML !== part.outerHTML) {
          const log = part.querySelector("pre.log");
          const isAtEnd = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
          part.replaceChildren(...document.adoptNode(next).childNodes);
          const after = part.querySelector("pre.log");
          if (after && (isAtEnd || !log)) after.scrollTop = after.scrollHeight;
        }
      }
    } catch {
      // The server is gone for a moment; the next event tries again.
    } finally {
      isLoading = false;
      if (isStale) {
        isStale = false;
        refresh();
      }
    }
  }

  function listen() {
    if (source || document.hidden || !document.querySelector("[data-live]")) return;
    source = new EventSource(base + "/live");
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", renew);
  }

  // Browsers open few connections to one server: a page that nobody looks at holds none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) {
      source.close();
      source = null;
    } else if (!document.hidden) {
      refresh();
      listen();
    }
  });

  // A form is sent once, however often one presses.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });

  addEventListener("pageshow", (event) => {
    for (const form of document.forms) delete form.dataset.sent;
    // A browser may keep a page for its button "Back" although it is not to store it. The session may have ended since.
    if (event.persisted) renew();
  });

  // People who read slowly, or with a screen reader, can pause updates. The tab remembers that. The page still learns that its session
  // has ended.
  const pause = document.getElementById("pause");
  if (pause && document.querySelector("[data-live]")) {
    const keep = (value) => {
      try {
        if (value !== undefined) sessionStorage.setItem("parlor-paused", value);
        return sessionStorage.getItem("parlor-paused");
      } catch {
        // A browser without storage asks anew on each page.
        return null;
      }
    };
    const show = () => pause.setAttribute("aria-pressed", String(isPaused));
    isPaused = keep() === "yes";
    show();
    pause.hidden = false;
    pause.addEventListener("click", () => {
      isPaused = !isPaused;
      keep(isPaused ? "yes" : "no");
      show();
      refresh();
    });
  }

  for (const log of document.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
  listen();
})();
