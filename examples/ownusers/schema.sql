-- The host's own table of users. To one that is there already it adds login_key, which is
-- unique, and version; the rest it has, under whatever names.
CREATE TABLE IF NOT EXISTS accounts (
  account_id BINARY(16) NOT NULL PRIMARY KEY,
  full_name VARCHAR(255) NOT NULL,
  login_email VARCHAR(254) NOT NULL,
  login_key VARBINARY(254) NOT NULL UNIQUE,
  secret VARBINARY(255) NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  joined_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
