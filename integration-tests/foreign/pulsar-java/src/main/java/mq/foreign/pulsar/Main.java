package mq.foreign.pulsar;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.pulsar.client.api.PulsarClientException;
import org.json.JSONObject;

/**
 * {@code --url URL [--listener NAME] [--token FILE] [--ca FILE] [--transactions false]}: reads a call in JSON a line,
 * {@code {"Action": "Send", …}}, writes an answer a line: {@code {"code": 0, …}}, or with code -1 the {@code error}, whose
 * class is the part before its colon. {@link Calls} has what there is. With {@code send} or {@code recv} before the options it
 * does that alone, see {@link Once}.
 */
public final class Main {
    private final Map<String, String> options;
    private Calls calls;

    private Main(Map<String, String> options) {
        this.options = options;
    }

    public static void main(String[] args) throws Exception {
        boolean once = args.length > 0 && (args[0].equals("send") || args[0].equals("recv"));
        Map<String, String> options = new HashMap<>();
        for (int i = once ? 1 : 0; i + 1 < args.length; i += 2) {
            options.put(args[i], args[i + 1]);
        }
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        if (once) {
            System.exit(new Once(out).run(args[0], options));
        }
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Main main = new Main(options);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(main.answer(new JSONObject(line)));
        }
        // Threads of the client's are left when it could not connect.
        System.exit(0);
    }

    private JSONObject answer(JSONObject params) {
        try {
            if (calls == null) {
                // With transactions it connects at once, and may be refused.
                calls = new Calls(Clients.open(options));
            }
            return calls.call(params.getString("Action"), params).put("code", 0);
        } catch (Exception e) {
            return new JSONObject().put("code", -1).put("error", told(e));
        }
    }

    /** The first of the client's own exceptions. */
    static String told(Exception e) {
        Throwable told = e;
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof PulsarClientException) {
                told = cause;
                break;
            }
        }
        return told.getClass().getSimpleName() + ": " + told.getMessage();
    }
}
