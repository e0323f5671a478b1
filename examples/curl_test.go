package examples_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// isCurl says whether this test binary was called by the name of curl.
func isCurl() bool { return filepath.Base(os.Args[0]) == "curl" }

// curl does what curl does with the options -s, -X, -H and -d, so that the lines which
// quickstart prints can be run where there is no curl. It returns the exit code.
func curl(args []string) int {
	var method, url, token, body string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; arg {
		case "-s":
		case "-X", "-H", "-d":
			if i++; i == len(args) {
				return 2
			}
			switch bearer, ok := strings.CutPrefix(args[i], "Authorization: Bearer "); {
			case arg == "-X":
				method = args[i]
			case arg == "-d":
				body = args[i]
			case ok:
				token = bearer
			case args[i] != "Content-Type: application/json":
				return 2
			}
		default:
			if strings.HasPrefix(arg, "-") || url != "" {
				return 2
			}
			url = arg
		}
	}
	switch {
	case method != "":
	case body != "":
		method = "POST"
	default:
		method = "GET"
	}
	a, err := try(context.Background(), method, url, token, body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 7
	}
	fmt.Print(a.text)
	return 0
}
