"""Small servers that keep the rules of Slack, PagerDuty, SMTP and webhook receivers, for tests and the demo."""
