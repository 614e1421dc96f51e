// The active time on one case, in seconds; paused while the tab is hidden.

export class ActiveTimer {
  #elapsed;
  /** @type {number | null} */
  #startedAt = null;
  #onVisibilityChange = () => (document.hidden ? this.#stop() : this.#start());

  /** @param {number} [seconds] of earlier sessions on this case */
  constructor(seconds = 0) {
    this.#elapsed = seconds;
    document.addEventListener("visibilitychange", this.#onVisibilityChange);
    if (!document.hidden) this.#start();
  }

  get seconds() {
    const running = this.#startedAt === null ? 0 : (performance.now() - this.#startedAt) / 1000;
    return Math.round((this.#elapsed + running) * 10) / 10;
  }

  /** Stops for good. */
  end() {
    this.#stop();
    document.removeEventListener("visibilitychange", this.#onVisibilityChange);
  }

  #start() {
    this.#startedAt ??= performance.now();
  }

  #stop() {
    if (this.#startedAt === null) return;
    this.#elapsed += (performance.now() - this.#startedAt) / 1000;
    this.#startedAt = null;
  }
}
