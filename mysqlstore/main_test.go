package mysqlstore_test

import (
	"os"
	"testing"

	"github.com/ostiary/auth/internal/mysqltest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }
