// Keeps the task page live: each event of the task brings the server-rendered body again.
"use strict";

const live = document.getElementById("live");

function follow() {
  const source = new EventSource(`/tasks/${live.dataset.task}/events?after=${live.dataset.seq}`);
  let asked = false;
  const refresh = () => {
    if (asked) return;
    asked = true;
    setTimeout(async () => {
      asked = false;
      const answer = await fetch(`/tasks/${live.dataset.task}/body`, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const typing = document.activeElement && document.activeElement.closest("form[data-keep]");
      const playing = [...live.querySelectorAll("audio, video")].some((media) => !media.paused);
      if (typing || playing) return;
      const open = [...live.querySelectorAll("details")].map((part) => part.open);
      live.innerHTML = await answer.text();
      live.querySelectorAll("details").forEach((part, index) => (part.open = Boolean(open[index])));
      const state = document.getElementById("state");
      if (state) document.title = `${state.textContent} · ${live.dataset.task} · Concilium`;
    }, 100);
  };
  for (const kind of ["state", "stage", "step", "progress", "artifact"]) source.addEventListener(kind, refresh);
  source.addEventListener("end", () => { source.close(); refresh(); });
}

if (live && live.dataset.terminal === "no") follow();
