// An input that keeps what is being typed although the page is drawn anew around it, and tells it once it is done.

import { Component, html } from "../lib/dom.mjs";

/** `value` as it stands, `done(text)`; whatever else is given goes to the input. */
export class Draft extends Component {
  state = { text: null };

  componentDidUpdate({ value }) {
    if (value !== this.props.value && this.state.text !== null) this.setState({ text: null });
  }

  render({ value, done, ...more }, { text }) {
    return html`<input ...${more} value=${text ?? value} onInput=${(event) => this.setState({ text: event.target.value })} onChange=${(event) => done(event.target.value)} onBlur=${() => this.setState({ text: null })} />`;
  }
}
