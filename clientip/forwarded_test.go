package clientip_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// ASVS: 15.3.4.
func TestForwarded(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"none":                    {nil, "10.0.0.1"},
		"one":                     {[]string{"for=192.0.2.1"}, "192.0.2.1"},
		"quoted":                  {[]string{`for="192.0.2.1"`}, "192.0.2.1"},
		"port":                    {[]string{`for="192.0.2.1:4711"`}, "192.0.2.1"},
		"made-up port":            {[]string{`for="192.0.2.1:_x.y-z_1"`}, "192.0.2.1"},
		"IPv6":                    {[]string{`for="[2001:db8::1]"`}, "2001:db8::1"},
		"IPv6 with a port":        {[]string{`for="[2001:db8::1]:4711"`}, "2001:db8::1"},
		"IPv6 with a made-up one": {[]string{`for="[2001:db8::1]:_x"`}, "2001:db8::1"},
		"IPv4-mapped":             {[]string{`for=192.0.2.1, for="[::ffff:10.0.0.2]"`}, "192.0.2.1"},
		"capitals":                {[]string{"FOR=192.0.2.1"}, "192.0.2.1"},
		"other pairs":             {[]string{`by=203.0.113.43;For=192.0.2.1;proto=https;host="a, b;for=198.51.100.66";x-y="\"z\\"`}, "192.0.2.1"},
		"quoted pairs":            {[]string{`for="\1\92.0.2.\1"`}, "192.0.2.1"},
		"empty pairs":             {[]string{";;for=192.0.2.1;"}, "192.0.2.1"},
		"obsolete text":           {[]string{"for=192.0.2.1;x=\"\xff\t\""}, "192.0.2.1"},
		"all of a token":          {[]string{"for=192.0.2.1;!#$%&'*+-.^_`|~09azAZ=!#$%&'*+-.^_`|~09azAZ"}, "192.0.2.1"},

		"what the client wrote": {[]string{"for=198.51.100.66, for=192.0.2.1"}, "192.0.2.1"},
		"proxies":               {[]string{`for=198.51.100.66, for=192.0.2.1,for=10.0.0.3;by=x , for="[2001:db8:a::2]:1"`}, "192.0.2.1"},
		"proxies alone":         {[]string{"for=10.0.0.3, for=10.0.0.2"}, "10.0.0.3"},
		"lines":                 {[]string{"for=198.51.100.66", "for=192.0.2.1,for=10.0.0.3", "for=10.0.0.2"}, "192.0.2.1"},
		"a comma in quotes":     {[]string{`for=198.51.100.66, for=192.0.2.1;x="for=198.51.100.67, \", for=198.51.100.68"`}, "192.0.2.1"},
		"backslashes in quotes": {[]string{`for=198.51.100.66, for=192.0.2.1;x="\\";y="\\\"";z="a\\,"`}, "192.0.2.1"},

		"a quote that the client left open":      {[]string{`for="198.51.100.66, for=192.0.2.1`}, "192.0.2.1"},
		"one in a line of its own":               {[]string{`for="198.51.100.66`, `for=192.0.2.1`}, "192.0.2.1"},
		"one before a quoted address":            {[]string{`for=10.0.0.9;x=", for="192.0.2.1";x=","`}, "192.0.2.1"},
		"one with a backslash":                   {[]string{`for=198.51.100.66;x="\, for=192.0.2.1`}, "192.0.2.1"},
		"one left open before a proxy, no place": {[]string{`for=198.51.100.66, x=", for=10.0.0.2`}, "10.0.0.2"},

		"unknown":                   {[]string{"for=198.51.100.66, for=unknown, for=10.0.0.2"}, "10.0.0.2"},
		"unknown with a port":       {[]string{`for=198.51.100.66, for="unknown:80"`}, "10.0.0.1"},
		"made-up name":              {[]string{"for=198.51.100.66, for=_gazonk"}, "10.0.0.1"},
		"without for":               {[]string{"for=198.51.100.66, proto=https;by=192.0.2.2"}, "10.0.0.1"},
		"empty":                     {[]string{""}, "10.0.0.1"},
		"empty element":             {[]string{"for=198.51.100.66, , for=10.0.0.2"}, "10.0.0.2"},
		"empty last element":        {[]string{"for=198.51.100.66,"}, "10.0.0.1"},
		"empty last line":           {[]string{"for=198.51.100.66", ""}, "10.0.0.1"},
		"semicolon alone":           {[]string{";"}, "10.0.0.1"},
		"of the other header":       {[]string{"192.0.2.1"}, "10.0.0.1"},
		"for twice":                 {[]string{"for=192.0.2.1;for=192.0.2.2"}, "10.0.0.1"},
		"for twice, in capitals":    {[]string{"for=192.0.2.1;FOR=192.0.2.1"}, "10.0.0.1"},
		"another twice":             {[]string{"for=192.0.2.1;by=a;by=b"}, "10.0.0.1"},
		"for and what is like it":   {[]string{"xfor=198.51.100.66;for=192.0.2.1;forx=198.51.100.67"}, "192.0.2.1"},
		"IPv6 without brackets":     {[]string{`for="2001:db8::1"`}, "10.0.0.1"},
		"IPv6 not quoted":           {[]string{`for=[2001:db8::1]`}, "10.0.0.1"},
		"port not quoted":           {[]string{`for=192.0.2.1:80`}, "10.0.0.1"},
		"IPv4 in brackets":          {[]string{`for="[192.0.2.1]"`}, "10.0.0.1"},
		"zone":                      {[]string{`for="[fe80::1%25eth0]"`}, "10.0.0.1"},
		"zone, bare":                {[]string{`for="[2001:db8:a::1%1]"`}, "10.0.0.1"},
		"made-up port, empty":       {[]string{`for="192.0.2.1:_"`}, "10.0.0.1"},
		"made-up port, other signs": {[]string{`for="192.0.2.1:_a!"`}, "10.0.0.1"},
		"no port":                   {[]string{`for="192.0.2.1:"`}, "10.0.0.1"},
		"port 65536":                {[]string{`for="192.0.2.1:65536"`}, "10.0.0.1"},
		"space before =":            {[]string{"for =192.0.2.1"}, "10.0.0.1"},
		"space behind =":            {[]string{"for= 192.0.2.1"}, "10.0.0.1"},
		"space before ;":            {[]string{"for=192.0.2.1 ;by=a"}, "10.0.0.1"},
		"space behind ;":            {[]string{"for=192.0.2.1; by=a"}, "10.0.0.1"},
		"space in quotes":           {[]string{`for=" 192.0.2.1"`}, "10.0.0.1"},
		"no value":                  {[]string{"for="}, "10.0.0.1"},
		"no value, behind":          {[]string{"for=192.0.2.1;by="}, "10.0.0.1"},
		"empty quotes":              {[]string{`for=""`}, "10.0.0.1"},
		"no name":                   {[]string{"for=192.0.2.1;=a"}, "10.0.0.1"},
		"name alone":                {[]string{"for=192.0.2.1;by"}, "10.0.0.1"},
		"behind quotes":             {[]string{`for="192.0.2.1"x`}, "10.0.0.1"},
		"a pair behind quotes":      {[]string{`for="192.0.2.1"by=a`}, "10.0.0.1"},
		"quotes behind":             {[]string{`for=192.0.2.1"x"`}, "10.0.0.1"},
		"open quotes":               {[]string{`for="192.0.2.1`}, "10.0.0.1"},
		"open by a backslash":       {[]string{`for="192.0.2.1\"`}, "10.0.0.1"},
		"backslash at the end":      {[]string{`for=192.0.2.1;x="\`}, "10.0.0.1"},
		"control character":         {[]string{"for=192.0.2.1;x=\"\x01\""}, "10.0.0.1"},
		"control character, quoted": {[]string{"for=192.0.2.1;x=\"\\\x7f\""}, "10.0.0.1"},
		"name in quotes":            {[]string{`"for"=192.0.2.1`}, "10.0.0.1"},
		"beyond ASCII":              {[]string{"for=192.0.2.1;ü=a"}, "10.0.0.1"},
		"garbage beyond it":         {[]string{"\xff=, for=192.0.2.1"}, "192.0.2.1"},
	} {
		assert.Equal(t, addr(c.want), rfc7239(t)(request(proxy, forwarded, c.lines...)), name)
	}
}
