// Says hello to itself, and prints the messages that come: framed protobuf over TCP.
//
// Usage: go run . [PORT], with a port of `nym-client tcpsocket`.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"example/mix"
)

// Types made from ../../nym/wire/mix.proto.
//go:generate protoc -I../.. --go_out=. --go_opt=module=example --go_opt=Mnym/wire/mix.proto=example/mix nym/wire/mix.proto

// A client answers when it is told to flush, in one write.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func (c connection) ask(request *mix.Request) *mix.Response {
	c.write(request)
	c.write(&mix.Request{Value: &mix.Request_Flush{Flush: &mix.Nothing{}}})
	response := c.read()
	c.read() // the flush's own
	if failure := response.GetException(); failure != nil {
		log.Fatal(failure.Error)
	}
	return response
}

func (c connection) write(request *mix.Request) {
	message, err := proto.Marshal(request)
	check(err)
	frame := binary.BigEndian.AppendUint64(nil, uint64(len(message)))
	_, err = c.Write(append(frame, message...))
	check(err)
}

func (c connection) read() *mix.Response {
	var length uint64
	check(binary.Read(c.reader, binary.BigEndian, &length))
	message := make([]byte, length)
	_, err := io.ReadFull(c.reader, message)
	check(err)
	response := &mix.Response{}
	check(proto.Unmarshal(message, response))
	return response
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	port := "9001"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	check(err)
	c := connection{conn, bufio.NewReader(conn)}

	details := &mix.Request{Value: &mix.Request_Details{Details: &mix.Nothing{}}}
	self := c.ask(details).GetDetails().Details
	fmt.Println("I am", self.Id)

	c.ask(&mix.Request{Value: &mix.Request_Send{Send: &mix.Send{
		Message:   []byte("Hello from Go!"),
		Recipient: self,
	}}})

	fetch := &mix.Request{Value: &mix.Request_Fetch{Fetch: &mix.Nothing{}}}
	var messages [][]byte
	for len(messages) == 0 {
		time.Sleep(500 * time.Millisecond)
		messages = c.ask(fetch).GetFetch().Messages
	}
	for _, message := range messages {
		fmt.Println(string(message))
	}
}
