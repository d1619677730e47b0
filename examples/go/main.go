// Says hello to itself, and prints the messages that come: framed protobuf over TCP.
//
// Usage: go run . [PORT [COUNT]], with a port of `nym-client tcpsocket`.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"strconv"

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
	port, count := "9001", 1
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	if len(os.Args) > 2 {
		var err error
		count, err = strconv.Atoi(os.Args[2])
		check(err)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatalf("no client listens on port %s; start one: nym-client tcpsocket --id ID", port)
	}
	c := connection{conn, bufio.NewReader(conn)}

	details := &mix.Request{Value: &mix.Request_Details{Details: &mix.Nothing{}}}
	self := c.ask(details).GetDetails().Details
	fmt.Println("I am", base58(self.PubKey))

	for i := 0; i < count; i++ {
		c.ask(&mix.Request{Value: &mix.Request_Send{Send: &mix.Send{
			Message:   []byte("Hello from Go!"),
			Recipient: self,
		}}})
	}

	fetch := &mix.Request{Value: &mix.Request_Fetch{Fetch: &mix.Nothing{}}}
	for count > 0 {
		messages := c.ask(fetch).GetFetch().Messages // waits for some, but not for ever
		for _, message := range messages {
			fmt.Println(string(message))
		}
		count -= len(messages)
	}
}

// An address as commands and other people's clients take it.
func base58(key []byte) string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	text := ""
	number, digit := new(big.Int).SetBytes(key), new(big.Int)
	for number.Sign() > 0 {
		number.DivMod(number, big.NewInt(58), digit)
		text = string(digits[digit.Int64()]) + text
	}
	for _, b := range key {
		if b != 0 {
			break
		}
		text = "1" + text
	}
	return text
}
