// A long list of which only the visible rows are drawn: 50 000 scroll like 50.

import { Component, html } from "../lib/dom.mjs";

const SPARE = 6;

/** `items`, `height` of a row in px, `row(item, index)` → vnode, `at` = index that must be in sight. */
export class Rows extends Component {
  state = { top: 0, tall: 600 };

  componentDidMount() {
    this.watch = new ResizeObserver(() => this.setState({ tall: this.box.clientHeight }));
    this.watch.observe(this.box);
  }

  componentWillUnmount() {
    this.watch.disconnect();
  }

  componentDidUpdate(before) {
    const { at, height } = this.props;
    if (at === before.at || at < 0) return;
    const top = at * height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + height - this.box.clientHeight;
  }

  render({ items, height, row, label, empty, active }, { top, tall }) {
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.min(items.length, Math.ceil((top + tall) / height) + SPARE);
    return html`<div class="list" role="listbox" tabindex="0" aria-label=${label} aria-activedescendant=${active} ref=${(box) => (this.box = box ?? this.box)} onScroll=${() => this.setState({ top: this.box.scrollTop })}>
      ${!items.length && html`<p class="empty">${empty}</p>`}
      <div style=${`height:${items.length * height}px;position:relative`}>
        ${items.slice(first, last).map((item, i) => html`<div class="slot" key=${item.id} style=${`top:${(first + i) * height}px;height:${height}px`}>${row(item, first + i)}</div>`)}
      </div>
    </div>`;
  }
}
