// Package faultproxy puts a TCP proxy between a client and its server that fails on
// purpose: it loses a request or a reply from any byte on, delays, cuts every connection,
// and refuses new ones. What it does to which command a function of the test decides.
//
// With [MySQL] it knows where a command begins and which statement it runs, also of one
// that was prepared before. Without, each burst of bytes from the client after one from
// the server counts as a command, which is a request of HTTP/1.1. Connections with TLS
// can only be cut, delayed and refused.
package faultproxy
