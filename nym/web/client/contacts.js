// Names of addresses: the contacts, which commands use, too.

import { hasAddress } from "/web/client/conversations.js";
import { byId, make, say } from "/web/common/dom.js";

export class Contacts {
  /** `changed(key)` is called when the name of a conversation has changed. */
  constructor(client, talks, changed) {
    this.client = client;
    this.talks = talks;
    this.changed = changed;
    this.key = null; // of the conversation that is open
    byId("keep").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(byId("contact-name").value.trim());
    });
    byId("contact").addEventListener("click", () => this.ask());
    byId("rename").addEventListener("submit", (event) => {
      event.preventDefault();
      this.rename(byId("new-name").value.trim());
    });
    byId("remove").addEventListener("click", () => this.remove());
    byId("contact-cancel").addEventListener("click", () => byId("contact-dialog").close());
  }

  /** Take over what the client knows. */
  know(contacts) {
    this.talks.know(contacts);
    byId("contacts").replaceChildren(...contacts.map(({ name }) => make("option", { value: name })));
  }

  /** Show what can be done about the name of this conversation. */
  show(key) {
    this.key = key;
    const isContact = this.talks.names.has(key);
    byId("contact").hidden = !isContact;
    byId("keep").hidden = isContact || !hasAddress(key);
    byId("contact-name").value = "";
    say(byId("keep-mistake"), "");
  }

  add(name) {
    const { key } = this;
    return this.change(key, byId("keep-mistake"), { type: "addContact", name, recipient_address: this.talks.with(key).to });
  }

  ask() {
    byId("new-name").value = this.talks.name(this.key);
    byId("contact-plain").hidden = !this.talks.isPlain(this.key);
    say(byId("rename-mistake"), "");
    byId("contact-dialog").showModal();
    byId("new-name").select();
  }

  rename(to) {
    const { key } = this;
    return this.change(key, byId("rename-mistake"), { type: "renameContact", name: this.talks.name(key), new_name: to });
  }

  remove() {
    const { key } = this;
    return this.change(key, byId("rename-mistake"), { type: "removeContact", name: this.talks.name(key) });
  }

  async change(key, mistake, request) {
    try {
      this.know((await this.client.ask(request)).contacts);
    } catch (error) {
      say(mistake, error.message);
      return;
    }
    // First, as it gives the focus back to the button.
    byId("contact-dialog").close();
    this.changed(key);
  }
}
