// The active time on one case, in seconds. It stands still while the tab is hidden.

export class Clock {
  #before;
  /** @type {number | null} */
  #since = null;
  #listen = () => (document.hidden ? this.#stop() : this.#start());

  /** @param {number} [seconds] counted in an earlier sitting */
  constructor(seconds = 0) {
    this.#before = seconds;
    document.addEventListener("visibilitychange", this.#listen);
    if (!document.hidden) this.#start();
  }

  get seconds() {
    const running = this.#since === null ? 0 : (performance.now() - this.#since) / 1000;
    return Math.round((this.#before + running) * 10) / 10;
  }

  /** The case is left; the clock never runs again. */
  end() {
    this.#stop();
    document.removeEventListener("visibilitychange", this.#listen);
  }

  #start() {
    this.#since ??= performance.now();
  }

  #stop() {
    if (this.#since === null) return;
    this.#before += (performance.now() - this.#since) / 1000;
    this.#since = null;
  }
}
