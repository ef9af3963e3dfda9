// A wall that loads anew never shows a page that loads: the next document takes its place when its picture is ready.

const LOOK_MS = 500;
const PATIENCE_MS = 120000;

/** The next document lies over this one, unseen, until it is ready; one that does not get ready is given up. */
export class Renewal {
  /** `leave` ends what this document does, once the next one is seen. */
  constructor(leave) {
    this.leave = leave;
    this.frame = null;
  }

  begin() {
    const { parent } = window;
    if (parent !== window) return parent.cityopsRenewal?.begin();
    if (this.next) return;
    this.next = document.createElement("iframe");
    this.next.className = "next";
    this.next.src = (this.frame?.contentWindow ?? window).location.href;
    document.body.append(this.next);
    this.beganMs = Date.now();
    this.timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #look() {
    const late = Date.now() - this.beganMs > PATIENCE_MS;
    const ready = this.next.contentDocument?.querySelector("#wall[data-ready]");
    if (!ready && !late) return;
    clearInterval(this.timer);
    if (ready) this.#swap();
    else this.next.remove();
    this.next = null;
  }

  #swap() {
    this.next.className = "shown";
    this.next.contentWindow.focus();
    if (this.frame) this.frame.remove();
    else this.leave();
    this.frame = this.next;
  }
}
