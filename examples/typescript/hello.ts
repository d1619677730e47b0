// Says hello to itself, and prints the next messages that come: protobuf as JSON, over a WebSocket.
// Usage: node --experimental-websocket hello.js [PORT], with a port of `nym-client websocket`.
// Pages and Electron have WebSocket without an option, as has Node from version 22 on.

interface Client {
  id: string;
  pubKey: string;
}

interface Answer {
  exception?: { error: string };
  details?: { details: Client };
  send?: object;
  fetch?: { messages?: string[] };
}

declare const process: { argv: string[] };

const connection = new WebSocket(`ws://127.0.0.1:${process.argv[2] ?? 9001}/mix`);
const say = (request: object): void => connection.send(JSON.stringify(request));

connection.onopen = () => say({ details: {} });

connection.onmessage = (event) => {
  const answer: Answer = JSON.parse(event.data);
  if (answer.exception) {
    console.error(answer.exception.error);
    connection.close();
  } else if (answer.details) {
    const self = answer.details.details;
    console.log("I am", self.id);
    say({ send: { message: btoa("Hello from TypeScript!"), recipient: self } });
  } else if (answer.send) {
    say({ fetch: {} });
  } else if (answer.fetch?.messages) {
    answer.fetch.messages.forEach((message) => console.log(atob(message)));
    connection.close();
  } else {
    setTimeout(() => say({ fetch: {} }), 500);
  }
};
