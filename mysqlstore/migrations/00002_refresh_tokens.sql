-- +goose Up
CREATE TABLE refresh_tokens (
  id BINARY(16) NOT NULL,
  user_id BIGINT NOT NULL,
  auth_version BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  rotated_by BINARY(16) NOT NULL,
  retired VARBINARY(64) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  authenticated_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  max_expires_at DATETIME(6) NOT NULL,
  revoked_at DATETIME(6) NULL,
  reason VARCHAR(32) NOT NULL,
  ip VARBINARY(16) NOT NULL,
  user_agent VARCHAR(255) NOT NULL,
  PRIMARY KEY (id),
  KEY user_id (user_id),
  KEY expires_at (expires_at),
  CONSTRAINT refresh_tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE refresh_tokens;
