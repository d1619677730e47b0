// Says hello to itself, and prints the next messages that come: protobuf as JSON, over a WebSocket.
// Build: npm ci && npm run build
// Usage: node --experimental-websocket hello.js [PORT [COUNT]], with a port of `nym-client websocket`.
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

declare const process: { argv: string[]; exit(code: number): never };

const port = process.argv[2] ?? "9001";
let count = Number(process.argv[3] ?? 1);
const connection = new WebSocket(`ws://127.0.0.1:${port}/mix`);
const waiting: ((answer: Answer) => void)[] = []; // answers come in the order of the requests

function ask(request: object): Promise<Answer> {
  connection.send(JSON.stringify(request));
  return new Promise((resolve) => waiting.push(resolve));
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

// An address as commands and other people's clients take it.
function base58(key: string): string {
  const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  const bytes = Array.from(atob(key), (letter) => letter.charCodeAt(0));
  let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = "";
  for (; number > 0n; number /= 58n) text = digits[Number(number % 58n)] + text;
  return "1".repeat(bytes.findIndex((byte) => byte > 0)) + text;
}

connection.onmessage = (event) => {
  const answer: Answer = JSON.parse(event.data);
  if (answer.exception) fail(answer.exception.error);
  waiting.shift()?.(answer);
};
connection.onclose = () => fail("the client has stopped");
connection.onerror = () =>
  fail(`no client listens on port ${port}; start one: nym-client websocket --id ID`);

connection.onopen = async () => {
  const self = (await ask({ details: {} })).details!.details;
  console.log("I am", base58(self.pubKey));
  const message = btoa("Hello from TypeScript!");
  for (let i = 0; i < count; i++) await ask({ send: { message, recipient: self } });
  while (count > 0) {
    // Waits for some, but not for ever.
    const messages = (await ask({ fetch: {} })).fetch?.messages ?? [];
    messages.forEach((message) => console.log(atob(message)));
    count -= messages.length;
  }
  connection.onclose = null;
  connection.close();
};
