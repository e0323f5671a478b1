-- The tables of package mysqlstore in MySQL and MariaDB, as Store.Migrate makes them.
-- Instants are in UTC. Those of the rows themselves (created_at, updated_at, revoked_at,
-- retired, full_at) are by the server's clock; the others are by the application's, and in whole
-- seconds.

CREATE TABLE users (
  -- Never given to another user.
  id BIGINT NOT NULL AUTO_INCREMENT,
  -- Trimmed, in NFC, 3 to 255 code points; not escaped for HTML.
  name VARCHAR(255) NOT NULL,
  -- The address as typed, trimmed: for display and mail.
  email VARCHAR(254) NOT NULL,
  -- The canonical address, by which people log in: two users never share it. Bytes, since
  -- every collation takes some different addresses for one.
  email_key VARBINARY(254) NOT NULL,
  -- The hash of the password: bcrypt's, or argon2id's ("$argon2id$…"), after a marker where
  -- it is no plain one: "bcrypt-sha384:" for passwords over 72 bytes, "bcrypt-tutorial:" and
  -- "argon2id-tutorial:" for those that Store.UpgradeTutorial took over. Another system's
  -- stays as it is until its user logs in. Empty: no password is right.
  password VARBINARY(255) NOT NULL,
  -- Raised by every change that must end the user's sessions and logins under way.
  auth_version BIGINT NOT NULL DEFAULT 1,
  -- Such a user cannot log in.
  disabled BOOLEAN NOT NULL DEFAULT FALSE,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY email_key (email_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row is one login on one device. It holds no token and nothing that one could be
-- made from without the key. For hosts with users of their own, Store.MigrateSessions
-- makes the same table with user_id VARBINARY(64) and no foreign key.
CREATE TABLE refresh_tokens (
  -- Random; the claim sid of the tokens.
  id BINARY(16) NOT NULL,
  user_id BIGINT NOT NULL,
  -- The user's when the session began; another one now means that the session is over.
  auth_version BIGINT NOT NULL,
  -- Of the refresh token that is valid now, from 1.
  generation BIGINT NOT NULL,
  -- The call that made it, so that it knows its own success; zeros before the first.
  rotated_by BINARY(16) NOT NULL,
  -- When the last generations were replaced, newest first: 8 bytes each, big-endian
  -- microseconds since 1970, at most 8 of them.
  retired VARBINARY(64) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  -- When the user last proved who they are.
  authenticated_at DATETIME(6) NOT NULL,
  -- The session ends then if it is not refreshed before.
  expires_at DATETIME(6) NOT NULL,
  -- The session ends then in any case.
  max_expires_at DATETIME(6) NOT NULL,
  -- NULL: not revoked.
  revoked_at DATETIME(6) NULL,
  -- Why it was revoked: "logout", "logout_all", "revoked", "reuse", "user_changed",
  -- "password", "disabled", "all".
  reason VARCHAR(32) NOT NULL,
  -- The client's address at the last refresh: 4 or 16 bytes, none if it is not known.
  ip VARBINARY(16) NOT NULL,
  -- What the client said it was, at the last refresh.
  user_agent VARCHAR(255) NOT NULL,
  PRIMARY KEY (id),
  KEY user_id (user_id),
  KEY expires_at (expires_at),
  CONSTRAINT refresh_tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row is one budget that is not full, or was not a short time ago: so many failed
-- logins or sign-ups may follow at once, and so many later. Store.MigrateSessions makes
-- the same table.
CREATE TABLE rate_limits (
  -- SHA-256 of the budget's name, which says what of, and whose: of which address or client.
  id BINARY(32) NOT NULL,
  -- When the budget is full again if nothing is taken from it: microseconds since 1970, by
  -- the server's clock. Rows of the past are as good as none.
  full_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  KEY full_at (full_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
