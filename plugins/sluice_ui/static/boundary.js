// What throws within shows here, and leaves Airflow whole.

import { Button, html, Notice, React } from "./kit.js";

export class Boundary extends React.Component {
  state = { error: null };
  static getDerivedStateFromError(error) {
    return { error };
  }
  render() {
    if (this.state.error === null) return this.props.children;
    return html`<${Notice} level="bad" title=${this.props.title ?? "This room of the page failed."}>
      <p>${String(this.state.error?.message ?? this.state.error)}</p>
      <${Button} size="sm" onClick=${() => this.setState({ error: null })}>Try again<//>
    <//>`;
  }
}
