// Package browser drives examples/browser with a real browser. Its tests are built with
// the tag browser, and find the browser by CHROMIUM or in PATH.
package browser
